package peer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.UUID;
import org.sqlite.SQLiteConfig;

/**
 * One connection with its statements, used by one thread at a time: SQLite has one writer at a time, every call writes to the
 * journal, and threads wait for a lock of the JVM better than connections for one of SQLite.
 */
public class Store implements AutoCloseable {
    private final ObjectMapper json = new ObjectMapper();
    private final Connection connection;
    private final PreparedStatement known;
    private final PreparedStatement keep;
    private final PreparedStatement create;
    private final PreparedStatement order;
    private final PreparedStatement record;

    /** What a call is about, and its answer. */
    private record Done(String order, Answer answer) {}

    public Store() throws IOException, SQLException {
        SQLiteConfig config = new SQLiteConfig();
        config.setBusyTimeout(10_000);
        config.setSynchronous(SQLiteConfig.SynchronousMode.FULL);
        config.setCacheSize(-4096);
        // What is read in a transaction is still so when it is written, whoever else has the file open.
        config.setTransactionMode(SQLiteConfig.TransactionMode.IMMEDIATE);
        connection = config.createConnection("jdbc:sqlite:peer.db");
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate(Files.readString(Path.of(System.getProperty("schema"))));
        }
        connection.setAutoCommit(false);
        known = connection.prepareStatement("SELECT answer, body_sign FROM operation WHERE order_id = ? AND order_line_id = ?");
        keep = connection.prepareStatement("INSERT INTO operation VALUES (?, ?, ?, ?, ?)");
        create = connection.prepareStatement("INSERT OR IGNORE INTO instance VALUES (?, ?, ?, ?)");
        order = connection.prepareStatement("SELECT order_id FROM instance WHERE id = ?");
        record = connection.prepareStatement(
            "INSERT INTO exchange (received_at, order_id, request_line, request_body, answer) VALUES (?, ?, ?, ?, ?)");
    }

    @Override
    public synchronized void close() throws SQLException {
        connection.close();
    }

    /** Carries a call out and records it; what it returns is on disk. */
    synchronized Answer exchange(String requestLine, byte[] body, long now) throws SQLException {
        try {
            Done done = carryOut(body, now);
            write(record, now, done.order(), requestLine, body, done.answer().text());
            connection.commit();
            return done.answer();
        } catch (SQLException | RuntimeException error) {
            connection.rollback();
            throw error;
        }
    }

    private Done carryOut(byte[] body, long now) throws SQLException {
        JsonNode call;
        try {
            call = json.readTree(body);
        } catch (IOException error) {
            call = MissingNode.getInstance();
        }
        if (!call.isObject()) {
            return new Done(null, Answer.failed("000002", "the body is not a JSON object"));
        }
        return switch (text(call, "activity")) {
            case "newInstance" -> newInstance(call, now);
            case "queryInstance" -> queryInstance(call);
            default -> new Done(null, Answer.failed("000002", "activity is missing or unknown"));
        };
    }

    private Done newInstance(JsonNode call, long now) throws SQLException {
        String orderId = text(call, "orderId");
        String line = text(call, "orderLineId");
        String instanceId = text(call, "businessId");
        if (orderId.isEmpty() || line.isEmpty() || instanceId.isEmpty()) {
            return new Done(null, Answer.failed("000002", "orderId, orderLineId or businessId is missing"));
        }
        bind(known, orderId, line);
        try (ResultSet found = known.executeQuery()) {
            if (found.next()) {
                return new Done(orderId, new Answer(found.getString(1), found.getString(2)));
            }
        }
        while (write(create, instanceId, orderId, line, now) == 0) {
            // Another order has been given this id.
            instanceId = UUID.randomUUID().toString();
        }
        Answer answer = Answer.created(instanceId);
        write(keep, orderId, line, answer.text(), answer.bodySign(), now);
        return new Done(orderId, answer);
    }

    private Done queryInstance(JsonNode call) throws SQLException {
        String instanceId = text(call, "instanceId");
        if (instanceId.isEmpty()) {
            return new Done(null, Answer.failed("000002", "instanceId is missing"));
        }
        bind(order, instanceId);
        try (ResultSet found = order.executeQuery()) {
            if (!found.next()) {
                return new Done(null, Answer.unknownInstance());
            }
            String encoded = URLEncoder.encode(instanceId, StandardCharsets.UTF_8).replace("+", "%20");
            return new Done(found.getString(1), Answer.told(instanceId, "https://app.example.com/" + encoded));
        }
    }

    /** A member's text; empty where there is none. */
    private static String text(JsonNode call, String name) {
        String text = call.path(name).textValue();
        return text == null ? "" : text;
    }

    /** How many rows were written. */
    private static int write(PreparedStatement statement, Object... values) throws SQLException {
        bind(statement, values);
        return statement.executeUpdate();
    }

    private static void bind(PreparedStatement statement, Object... values) throws SQLException {
        for (int at = 0; at < values.length; at++) {
            statement.setObject(at + 1, values[at]);
        }
    }
}
