package peer;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;

/** The bytes of an answer and its Body-Sign. */
record Answer(String text, String bodySign) {
    private static final ObjectMapper JSON = new ObjectMapper();

    static final Answer AUTHENTICATION_FAILED = failed("000001", "authentication failed");

    private record Failed(String resultCode, String resultMsg) {}

    private record Created(String resultCode, String resultMsg, String instanceId) {}

    private record Told(String resultCode, String resultMsg, List<Info> info) {}

    private record Info(String instanceId, AppInfo appInfo) {}

    private record AppInfo(String frontEndUrl, String adminUrl) {}

    static Answer failed(String code, String message) {
        return of(new Failed(code, message));
    }

    static Answer created(String instanceId) {
        return of(new Created("000000", "success", instanceId));
    }

    static Answer told(String instanceId, String frontEndUrl) {
        AppInfo access = new AppInfo(frontEndUrl, "https://app.example.com/admin");
        return of(new Told("000000", "success", List.of(new Info(instanceId, access))));
    }

    static Answer unknownInstance() {
        return of(new Told("000003", "the instance does not exist", List.of()));
    }

    private static Answer of(Object reply) {
        try {
            String text = JSON.writeValueAsString(reply);
            String sign = Base64.getEncoder().encodeToString(Signature.mac(text.getBytes(StandardCharsets.UTF_8)));
            return new Answer(text, "sign_type=\"HMAC-SHA256\", signature=\"" + sign + "\"");
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
