import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.concurrent.Executors;
import org.springframework.http.HttpMethod;
import org.springframework.mock.web.MockHttpServletResponse;
import org.springframework.test.web.servlet.MockMvc;
import org.springframework.test.web.servlet.request.MockHttpServletRequestBuilder;
import org.springframework.test.web.servlet.request.MockMvcRequestBuilders;
import org.springframework.test.web.servlet.setup.MockMvcBuilders;

/**
 * Serves the controller of examples/java through Spring MVC without Spring Boot: its dispatcher, argument conversion and
 * message converters, as Debian has them, behind the HTTP server of the JDK.
 */
public class SpringHost {
    public static void main(String[] arguments) throws Exception {
        MockMvc spring = MockMvcBuilders.standaloneSetup(new shop.Hook()).build();
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port), 128);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.createContext("/", exchange -> {
            try (exchange) {
                URI target = exchange.getRequestURI();
                HttpMethod method = HttpMethod.valueOf(exchange.getRequestMethod());
                MockHttpServletRequestBuilder request = MockMvcRequestBuilders.request(method, target);
                exchange.getRequestHeaders().forEach((name, values) -> request.header(name, values.toArray()));
                request.content(exchange.getRequestBody().readAllBytes());
                MockHttpServletResponse response = spring.perform(request).andReturn().getResponse();
                byte[] body = response.getContentAsByteArray();
                if (response.getContentType() != null) {
                    exchange.getResponseHeaders().set("Content-Type", response.getContentType());
                }
                exchange.sendResponseHeaders(response.getStatus(), body.length == 0 ? -1 : body.length);
                exchange.getResponseBody().write(body);
            } catch (Exception error) {
                error.printStackTrace();
            }
        });
        server.start();
    }
}
