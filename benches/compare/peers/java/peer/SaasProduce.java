package peer;

import java.sql.SQLException;
import javax.servlet.http.HttpServletRequest;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The production address. */
@RestController
public class SaasProduce {
    private final Signature verifier;
    private final Store store;

    public SaasProduce(Signature verifier, Store store) {
        this.verifier = verifier;
        this.store = store;
    }

    /** The signature covers the bytes of the body: they are taken as they are. */
    @PostMapping("/saasproduce")
    public ResponseEntity<byte[]> answer(
            @RequestBody(required = false) byte[] body,
            @RequestParam(defaultValue = "") String signature,
            @RequestParam(defaultValue = "") String timestamp,
            @RequestParam(defaultValue = "") String nonce,
            HttpServletRequest request) throws SQLException {
        long now = System.currentTimeMillis();
        byte[] payload = body == null ? new byte[0] : body;
        Answer answer = Answer.AUTHENTICATION_FAILED;
        if (verifier.admits(signature, timestamp, nonce, payload, now)) {
            String line = "POST " + request.getRequestURI() + "?" + request.getQueryString() + " " + request.getProtocol();
            answer = store.exchange(line, payload, now);
        }
        return ResponseEntity.ok().contentType(MediaType.APPLICATION_JSON).header("Body-Sign", answer.bodySign())
            .body(answer.text().getBytes(UTF_8));
    }
}
