package peer;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.springframework.web.context.support.AnnotationConfigWebApplicationContext;
import org.springframework.web.servlet.DispatcherServlet;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerAdapter;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerMapping;

/** What Spring Boot does by itself: Spring MVC's dispatcher on an embedded Tomcat. */
public class Application {
    public static void main(String[] arguments) throws Exception {
        Logger.getLogger("").setLevel(Level.WARNING);
        AnnotationConfigWebApplicationContext spring = new AnnotationConfigWebApplicationContext();
        // One by one: what finds them by itself does not run in Debian's Spring under this JDK.
        spring.register(RequestMappingHandlerMapping.class, RequestMappingHandlerAdapter.class);
        spring.register(Signature.class, Store.class, SaasProduce.class);

        Tomcat tomcat = new Tomcat();
        Path folder = Files.createTempDirectory("tomcat");
        tomcat.setBaseDir(folder.toString());
        Connector connector = new Connector();
        connector.setPort(Integer.parseInt(arguments[0]));
        connector.setProperty("address", "127.0.0.1");
        connector.setProperty("maxThreads", "64");
        connector.setProperty("acceptCount", "1024");
        connector.setProperty("keepAliveTimeout", "75000");
        // By default a connection is closed after 100 requests.
        connector.setProperty("maxKeepAliveRequests", "-1");
        tomcat.setConnector(connector);
        Context context = tomcat.addContext("", folder.toString());
        DispatcherServlet dispatcher = new DispatcherServlet(spring);
        Tomcat.addServlet(context, "dispatcher", dispatcher).setLoadOnStartup(1);
        context.addServletMappingDecoded("/", "dispatcher");
        tomcat.start();

        // Calls that are being carried out are answered, then the beans are closed, the database among them.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(tomcat)));
        System.err.println("serves http://127.0.0.1:" + connector.getLocalPort() + "/saasproduce");
    }

    private static void stop(Tomcat tomcat) {
        try {
            tomcat.stop();
            tomcat.destroy();
        } catch (Exception error) {
            error.printStackTrace();
        }
    }
}
