package peer;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Who may call. Only verified nonces are remembered, for as long as their stamp could still be fresh. */
public class Signature {
    private static final String KEY = "11111111-2222-3333-4444-555555555555";
    private static final long WINDOW = 60_000;
    private static final HexFormat HEX = HexFormat.of();
    private static final ThreadLocal<Mac> MAC = ThreadLocal.withInitial(Signature::newMac);

    /** Oldest first. */
    private final Map<String, Long> nonces = new LinkedHashMap<>();

    boolean admits(String signature, String timestamp, String nonce, byte[] body, long now) {
        String canonical = KEY + nonce + timestamp + HEX.formatHex(mac(body));
        byte[] right = HEX.formatHex(mac(bytes(canonical))).getBytes(StandardCharsets.US_ASCII);
        // isEqual takes the same time wherever the two differ.
        if (nonce.isEmpty() || !MessageDigest.isEqual(right, bytes(signature.toLowerCase(Locale.ROOT)))) {
            return false;
        }
        if (!timestamp.matches("[0-9]{1,15}") || Math.abs(now - Long.parseLong(timestamp)) > WINDOW) {
            return false;
        }
        synchronized (nonces) {
            var oldest = nonces.values().iterator();
            while (oldest.hasNext() && oldest.next() < now - 2 * WINDOW) {
                oldest.remove();
            }
            return nonces.putIfAbsent(nonce, now) == null;
        }
    }

    static byte[] mac(byte[] data) {
        return MAC.get().doFinal(data);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static Mac newMac() {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(bytes(KEY), "HmacSHA256"));
            return mac;
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }
}
