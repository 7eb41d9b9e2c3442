package shop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RestController;
import org.sqlite.SQLiteConfig;

/**
 * A merchant's application: the hook endpoint that koogate calls. README.md says how to start it, docs/events.md what it is told.
 *
 * <p>The one rule: the same operationId has one effect and one answer. Here the effect (a row in {@code account}) and the answer
 * (a row in {@code operation}) are one transaction of SQLite, so that parallel deliveries, a crash and a restart change nothing.
 */
@RestController
public class Hook {
    private static final String[] SCHEMA = {
        "CREATE TABLE IF NOT EXISTS operation (id TEXT PRIMARY KEY, event TEXT NOT NULL, answer TEXT)",
        "CREATE TABLE IF NOT EXISTS account (instance_id TEXT PRIMARY KEY, status TEXT NOT NULL, password TEXT, expires TEXT,"
            + " quantity INTEGER)",
    };

    private final ObjectMapper json = new ObjectMapper();
    private final SecureRandom random = new SecureRandom();
    private final String database = "jdbc:sqlite:" + setting("DATABASE", "shop.db");
    private final int seats = Integer.parseInt(setting("SEATS", "1000"));
    /** Set: accounts are opened in the background and reported to koogate's admin listener (pending). Null: at once (ready). */
    private final String admin = setting("KOOGATE_ADMIN", null);
    private final SecretKeySpec key;

    public Hook() throws IOException, SQLException {
        String secret = Files.readString(Path.of(setting("HOOK_SECRET_FILE", "hook.secret"))).strip();
        key = new SecretKeySpec(Base64.getDecoder().decode(secret.replaceFirst("^whsec_", "")), "HmacSHA256");
        try (Connection connection = connect(true)) {
            for (String statement : SCHEMA) {
                run(connection, statement);
            }
        }
        if (admin != null) {
            Thread worker = new Thread(this::openAccounts, "open-accounts");
            worker.setDaemon(true);
            worker.start();
        }
    }

    /**
     * The body as bytes: the signature covers these, and no text that a converter has read and written anew. So verify before
     * parsing, and take no {@code @RequestBody Event} here.
     */
    @PostMapping("/koogate")
    public ResponseEntity<byte[]> hook(
            @RequestBody byte[] body,
            @RequestHeader(value = "webhook-id", defaultValue = "") String id,
            @RequestHeader(value = "webhook-timestamp", defaultValue = "") String timestamp,
            @RequestHeader(value = "webhook-signature", defaultValue = "") String signatures) {
        try {
            // webhook-id repeats with every attempt: do not refuse a known one.
            if (!verified(body, id, timestamp, signatures)) {
                return ResponseEntity.status(401).build();
            }
            byte[] text = answer(body).getBytes(StandardCharsets.UTF_8);
            return ResponseEntity.ok().contentType(MediaType.APPLICATION_JSON).body(text);
        } catch (Exception error) { // anything but 2xx is a failed attempt, and is made again
            System.err.println("failed: " + error);
            return ResponseEntity.status(500).contentType(MediaType.TEXT_PLAIN).body(error.toString().getBytes(StandardCharsets.UTF_8));
        }
    }

    /** Whether koogate sent these very bytes within the last five minutes (https://www.standardwebhooks.com). */
    private boolean verified(byte[] body, String id, String timestamp, String signatures) throws GeneralSecurityException {
        if (id.isEmpty() || !timestamp.matches("[0-9]{1,12}")
                || Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > 300) {
            return false;
        }
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(key);
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        byte[] expected = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
        for (String signature : signatures.split(" ")) {
            // isEqual takes the same time wherever the two differ; equals does not.
            if (MessageDigest.isEqual(expected, signature.getBytes(StandardCharsets.UTF_8))) {
                return true;
            }
        }
        return false;
    }

    private String answer(byte[] body) throws IOException, SQLException {
        JsonNode event = json.readTree(body);
        if (event.path("test").asBoolean()) { // a debugging call (调试) that was forwarded: no real effect
            return json.writeValueAsString(Map.of("status", "ready", "access", access("test", "test"), "license", "TEST"));
        }
        String operation = event.path("operationId").textValue();
        // connect(false) begins IMMEDIATE: of two deliveries at the same moment the second waits here, and then finds the first
        // one's answer. Closing the connection undoes what was not committed.
        try (Connection connection = connect(false)) {
            String known = one(connection, "SELECT answer FROM operation WHERE id = ?", operation);
            if (known != null) {
                return known;
            }
            Map<String, Object> told = handle(connection, event);
            String text = json.writeValueAsString(told);
            // Only "ready" is final. After "pending" and "refused" the same operationId asks again, and may succeed.
            // The event is kept as well (of a refusal nothing): `koogate restore --adopt` reads it when a backup was too old.
            if (!told.get("status").equals("refused") && !event.path("event").asText().equals("instance.check_change")) {
                run(connection, "INSERT OR REPLACE INTO operation VALUES (?, ?, ?)", operation,
                    new String(body, StandardCharsets.UTF_8), told.get("status").equals("ready") ? text : null);
            }
            connection.commit();
            return text;
        }
    }

    private Map<String, Object> handle(Connection connection, JsonNode event) throws SQLException {
        String name = event.path("event").asText();
        return switch (name) {
            case "instance.create" -> create(connection, event);
            case "instance.renew", "instance.freeze", "instance.unfreeze", "instance.upgrade", "instance.release" ->
                change(connection, name, event);
            // A question: change nothing. Compare what is in use with the smaller quota; here nothing is counted.
            case "instance.check_change" -> Map.of("status", "ready");
            case "license.issue" -> issue(connection, event);
            // Joint operation (联营). Who has no use for these says ready: a failing one holds up the rest.
            case "tenant.sync", "application.sync", "users.sync", "departments.sync" -> Map.of("status", "ready");
            // An event of a later version: a failed attempt that the operator sees, not a lost one.
            default -> throw new IllegalArgumentException("unknown event " + name);
        };
    }

    private Map<String, Object> create(Connection connection, JsonNode event) throws SQLException {
        String id = event.path("instanceId").textValue();
        String status = one(connection, "SELECT status FROM account WHERE instance_id = ?", id);
        if (status == null) {
            int taken = Integer.parseInt(one(connection, "SELECT count(*) FROM account WHERE status <> 'released'"));
            if (taken >= seats) {
                return Map.of("status", "refused", "resultCode", "000106", "message", "sold out");
            }
            status = admin == null ? "active" : "opening";
            // Without [open_api] a V2 purchase tells ids only: quantity and expireTime may be null, or the section absent.
            JsonNode order = event.path("order");
            Object quantity = order.path("quantity").isNumber() ? order.path("quantity").asLong() : null;
            run(connection, "INSERT INTO account VALUES (?, ?, ?, ?, ?)", id, status, randomHex(8),
                order.path("expireTime").textValue(), quantity);
        }
        if (status.equals("opening")) {
            return Map.of("status", "pending");
        }
        String password = one(connection, "SELECT password FROM account WHERE instance_id = ?", id);
        return Map.of("status", "ready", "access", access(id, password));
    }

    /** Renewal, freeze, unfreeze, upgrade, release: set what the event says, add nothing up. Twice is then as good as once. */
    private Map<String, Object> change(Connection connection, String name, JsonNode event) throws SQLException {
        String id = event.path("instanceId").textValue();
        if (event.path("kind").asText().equals("license-code")) {
            // KooGallery makes these codes: the first event about one is the first this application hears of it.
            run(connection, "INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, NULL, NULL)", id);
        }
        String status = event.path("instance").path("status").textValue();
        int changed = run(connection, "UPDATE account SET status = ? WHERE instance_id = ?", status, id);
        if (changed == 0 && !name.equals("instance.release")) {
            // Fails the attempt: koogate tries again and tells the operator.
            throw new IllegalStateException("no account " + id);
        }
        if (name.equals("instance.renew")) {
            // The date may also go back (a refunded renewal), or be null: no end any more.
            String expires = event.path("change").path("expireTime").textValue();
            run(connection, "UPDATE account SET expires = ? WHERE instance_id = ?", expires, id);
        }
        JsonNode quantity = event.path("order").path("quantity");
        if (name.equals("instance.upgrade") && quantity.isNumber()) {
            run(connection, "UPDATE account SET quantity = ? WHERE instance_id = ?", quantity.asLong(), id);
        }
        return Map.of("status", "ready");
    }

    /** A random licence is fine: it is kept with the operation, and given again. */
    private Map<String, Object> issue(Connection connection, JsonNode event) throws SQLException {
        if (event.path("kind").asText().equals("license")) {
            run(connection, "INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, ?, NULL)",
                event.path("instanceId").textValue(), event.path("change").path("expireTime").textValue());
        }
        return Map.of("status", "ready", "license", randomHex(8).toUpperCase());
    }

    /** Opens what is `opening` and reports what is `opened`. Both are in the database, so a restart goes on where this ended. */
    private void openAccounts() {
        while (true) {
            try (Connection connection = connect(true)) {
                Map<String, String[]> waiting = new LinkedHashMap<>();
                try (PreparedStatement query = connection.prepareStatement(
                            "SELECT instance_id, status, password FROM account WHERE status IN ('opening', 'opened')");
                        ResultSet rows = query.executeQuery()) {
                    while (rows.next()) {
                        waiting.put(rows.getString(1), new String[] {rows.getString(2), rows.getString(3)});
                    }
                }
                for (Map.Entry<String, String[]> account : waiting.entrySet()) {
                    String id = account.getKey();
                    if (account.getValue()[0].equals("opening")) {
                        // Your slow work stands here. It may be begun twice (a crash in between), so it must bear that.
                        run(connection, "UPDATE account SET status = 'opened' WHERE instance_id = ? AND status = 'opening'", id);
                    }
                    if (report(id, Map.of("status", "ready", "access", access(id, account.getValue()[1])))) {
                        run(connection, "UPDATE account SET status = 'active' WHERE instance_id = ? AND status = 'opened'", id);
                    }
                }
            } catch (SQLException | IOException error) {
                // A report that failed is made again; besides, koogate asks again every ten minutes.
                System.err.println("not reported: " + error);
            }
            try {
                Thread.sleep(1000);
            } catch (InterruptedException ended) {
                return;
            }
        }
    }

    private boolean report(String id, Map<String, Object> told) throws IOException {
        URL url = URI.create(admin + "/api/v1/instances/" + encode(id) + "/ready").toURL();
        HttpURLConnection connection = (HttpURLConnection) url.openConnection();
        connection.setConnectTimeout(10_000);
        connection.setReadTimeout(10_000);
        connection.setRequestMethod("POST");
        connection.setDoOutput(true);
        String token = Files.readString(Path.of(setting("ADMIN_TOKEN_FILE", "admin.token"))).strip();
        connection.setRequestProperty("Authorization", "Bearer " + token);
        byte[] text = json.writeValueAsBytes(told);
        // koogate wants a Content-Length.
        connection.setFixedLengthStreamingMode(text.length);
        connection.getOutputStream().write(text);
        int status = connection.getResponseCode();
        connection.disconnect();
        return status == 200 || status == 404 || status == 409; // not there, or released meanwhile: nothing to report
    }

    private static Map<String, Object> access(String id, String password) {
        // Ids come from outside: percent-encode them in an address.
        return Map.of("frontEndUrl", "https://app.example.com/" + encode(id), "userName", "admin", "password", password);
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }

    private String randomHex(int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    private Connection connect(boolean autoCommit) throws SQLException {
        SQLiteConfig config = new SQLiteConfig();
        config.setBusyTimeout(30_000);
        config.setJournalMode(SQLiteConfig.JournalMode.WAL);
        config.setSynchronous(SQLiteConfig.SynchronousMode.FULL); // what was answered survives a power cut
        config.setTransactionMode(SQLiteConfig.TransactionMode.IMMEDIATE);
        Connection connection = config.createConnection(database);
        connection.setAutoCommit(autoCommit);
        return connection;
    }

    /** Runs a statement; how many rows it has changed. */
    private static int run(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            bind(statement, values);
            return statement.executeUpdate();
        }
    }

    /** The first column of the first row, or null. */
    private static String one(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            bind(statement, values);
            try (ResultSet rows = statement.executeQuery()) {
                return rows.next() ? rows.getString(1) : null;
            }
        }
    }

    private static void bind(PreparedStatement statement, Object[] values) throws SQLException {
        for (int at = 0; at < values.length; at++) {
            statement.setObject(at + 1, values[at]);
        }
    }

    private static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null ? otherwise : value;
    }
}
