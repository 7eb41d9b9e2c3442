package shop;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Starts the application; what koogate calls is {@link Hook}. */
@SpringBootApplication
public class HookApplication {
    public static void main(String[] arguments) {
        SpringApplication.run(HookApplication.class, arguments);
    }
}
