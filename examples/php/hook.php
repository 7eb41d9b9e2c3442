<?php
// A merchant's application: the hook endpoint that koogate calls. README.md says how to start it, docs/events.md what it is told.
//
// The one rule: the same operationId has one effect and one answer. Here the effect (a row in `account`) and the answer (a row
// in `operation`) are one transaction of SQLite, so that parallel deliveries, a crash and a restart change nothing.
declare(strict_types=1);
ini_set('display_errors', 'stderr'); // a warning within an answer would spoil its JSON

function setting(string $name, ?string $default = null): ?string
{
    return getenv($name) === false ? $default : getenv($name);
}

function database(): PDO
{
    $database = new PDO('sqlite:' . setting('DATABASE', __DIR__ . '/shop.db'), options: [PDO::ATTR_TIMEOUT => 30]);
    // FULL: what was answered survives a power cut. No journal_mode = WAL here: every request opens the database anew, and of
    // requests that change the mode at the same moment all but one are told "database is locked" at once, whatever the timeout.
    $database->exec('PRAGMA synchronous = FULL;
        CREATE TABLE IF NOT EXISTS operation (id TEXT PRIMARY KEY, event TEXT NOT NULL, answer TEXT);
        CREATE TABLE IF NOT EXISTS account (instance_id TEXT PRIMARY KEY, status TEXT NOT NULL, password TEXT, expires TEXT,
            quantity INTEGER);');
    return $database;
}

function run(PDO $database, string $sql, mixed ...$values): PDOStatement
{
    $statement = $database->prepare($sql);
    $statement->execute($values);
    return $statement;
}

/**
 * Whether koogate sent these very bytes within the last five minutes (https://www.standardwebhooks.com).
 *
 * Verify php://input as it came, never what json_decode and json_encode have made of it.
 */
function verified(string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if ($id === '' || !ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    $secret = trim(file_get_contents(setting('HOOK_SECRET_FILE', __DIR__ . '/hook.secret')));
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    if ($key === false || $key === '') {
        throw new RuntimeException('the hook secret is not whsec_ and base64');
    }
    $expected = base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $signature) {
        // hash_equals takes the same time wherever the two differ; === does not.
        if (str_starts_with($signature, 'v1,') && hash_equals($expected, substr($signature, 3))) {
            return true;
        }
    }
    return false;
}

function access(string $id, string $password): array
{
    // Ids come from outside: percent-encode them in an address.
    return ['frontEndUrl' => 'https://app.example.com/' . rawurlencode($id), 'userName' => 'admin', 'password' => $password];
}

function create(PDO $database, array $event): array
{
    $id = $event['instanceId'];
    $account = run($database, 'SELECT status, password FROM account WHERE instance_id = ?', $id)->fetch();
    if (!$account) {
        $taken = run($database, "SELECT count(*) FROM account WHERE status <> 'released'")->fetchColumn();
        if ($taken >= (int) setting('SEATS', '1000')) {
            return ['status' => 'refused', 'resultCode' => '000106', 'message' => 'sold out'];
        }
        // KOOGATE_ADMIN set: accounts are opened by `php hook.php work` and reported (pending). Unset: at once (ready).
        $account = ['status' => setting('KOOGATE_ADMIN') ? 'opening' : 'active', 'password' => bin2hex(random_bytes(8))];
        // Without [open_api] a V2 purchase tells ids only: quantity and expireTime may be null, or the section absent.
        run($database, 'INSERT INTO account VALUES (?, ?, ?, ?, ?)', $id, $account['status'], $account['password'],
            $event['order']['expireTime'] ?? null, $event['order']['quantity'] ?? null);
    }
    if ($account['status'] === 'opening') {
        return ['status' => 'pending'];
    }
    return ['status' => 'ready', 'access' => access($id, $account['password'])];
}

/** Renewal, freeze, unfreeze, upgrade, release: set what the event says, add nothing up. Twice is then as good as once. */
function change(PDO $database, array $event): array
{
    ['event' => $name, 'kind' => $kind, 'instanceId' => $id] = $event;
    if ($kind === 'license-code') {
        // KooGallery makes these codes: the first event about one is the first this application hears of it.
        run($database, "INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, NULL, NULL)", $id);
    }
    $changed = run($database, 'UPDATE account SET status = ? WHERE instance_id = ?', $event['instance']['status'], $id)->rowCount();
    if ($changed === 0 && $name !== 'instance.release') {
        throw new RuntimeException("no account $id"); // fails the attempt: koogate tries again and tells the operator
    }
    if ($name === 'instance.renew') {
        // The date may also go back (a refunded renewal), or be null: no end any more.
        run($database, 'UPDATE account SET expires = ? WHERE instance_id = ?', $event['change']['expireTime'] ?? null, $id);
    }
    if ($name === 'instance.upgrade' && isset($event['order']['quantity'])) {
        run($database, 'UPDATE account SET quantity = ? WHERE instance_id = ?', $event['order']['quantity'], $id);
    }
    return ['status' => 'ready'];
}

/** A random licence is fine: it is kept with the operation, and given again. */
function issue(PDO $database, array $event): array
{
    if ($event['kind'] === 'license') {
        run($database, "INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, ?, NULL)", $event['instanceId'],
            $event['change']['expireTime'] ?? null);
    }
    return ['status' => 'ready', 'license' => implode('-', str_split(strtoupper(bin2hex(random_bytes(8))), 4))];
}

function handle(PDO $database, array $event): array
{
    return match ($event['event']) {
        'instance.create' => create($database, $event),
        'instance.renew', 'instance.freeze', 'instance.unfreeze', 'instance.upgrade', 'instance.release' => change($database, $event),
        // A question: change nothing. Compare what is in use with the smaller quota; here nothing is counted.
        'instance.check_change' => ['status' => 'ready'],
        'license.issue' => issue($database, $event),
        // Joint operation (联营). Who has no use for these says ready: a failing one holds up the rest.
        'tenant.sync', 'application.sync', 'users.sync', 'departments.sync' => ['status' => 'ready'],
        // An event of a later version: UnhandledMatchError, a failed attempt that the operator sees, not a lost one.
    };
}

function answer(array $event, string $body): string
{
    if ($event['test']) {
        // A debugging call (调试) that was forwarded: no real effect.
        return json_encode(['status' => 'ready', 'access' => access('test', 'test'), 'license' => 'TEST']);
    }
    $database = database();
    // IMMEDIATE (PDO::beginTransaction is not): of two deliveries at the same moment the second waits here, and then finds the
    // first one's answer. What is not committed is undone when the connection goes.
    $database->exec('BEGIN IMMEDIATE');
    $known = run($database, 'SELECT answer FROM operation WHERE id = ?', $event['operationId'])->fetchColumn();
    if ($known) { // false: not told before; null: pending
        return $known;
    }
    $told = handle($database, $event);
    $text = json_encode($told, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
    // Only "ready" is final. After "pending" and "refused" the same operationId asks again, and may succeed.
    // The event is kept as well (of a refusal nothing): `koogate restore --adopt` reads it when a backup was too old.
    if ($told['status'] !== 'refused' && $event['event'] !== 'instance.check_change') {
        $final = $told['status'] === 'ready' ? $text : null;
        run($database, 'INSERT OR REPLACE INTO operation VALUES (?, ?, ?)', $event['operationId'], $body, $final);
    }
    $database->exec('COMMIT');
    return $text;
}

function hook(): void
{
    $body = file_get_contents('php://input');
    try {
        // webhook-id repeats with every attempt: do not refuse a known one.
        if ($_SERVER['REQUEST_METHOD'] !== 'POST' || !verified($body)) {
            http_response_code(401);
            return;
        }
        $text = answer(json_decode($body, true, 64, JSON_THROW_ON_ERROR), $body);
        header('Content-Type: application/json');
        echo $text;
    } catch (Throwable $error) {
        error_log("failed: $error");
        http_response_code(500); // anything but 2xx is a failed attempt, and is made again
        echo $error->getMessage();
    }
}

/** Opens what is `opening` and reports what is `opened`. Both are in the database, so a restart goes on where this ended. */
function work(): never
{
    $database = database();
    while (true) {
        $rows = run($database, "SELECT instance_id, status, password FROM account WHERE status IN ('opening', 'opened')")->fetchAll();
        foreach ($rows as ['instance_id' => $id, 'status' => $status, 'password' => $password]) {
            if ($status === 'opening') {
                // Your slow work stands here. It may be begun twice (a crash in between), so it must bear that.
                run($database, "UPDATE account SET status = 'opened' WHERE instance_id = ? AND status = 'opening'", $id);
            }
            if (report($id, ['status' => 'ready', 'access' => access($id, $password)])) {
                run($database, "UPDATE account SET status = 'active' WHERE instance_id = ? AND status = 'opened'", $id);
            }
        }
        sleep(1); // a report that failed is made again; besides, koogate asks again every ten minutes
    }
}

function report(string $id, array $told): bool
{
    $token = trim(file_get_contents(setting('ADMIN_TOKEN_FILE', __DIR__ . '/admin.token')));
    $request = ['method' => 'POST', 'header' => "Authorization: Bearer $token", 'content' => json_encode($told),
        'timeout' => 10, 'ignore_errors' => true];
    $url = setting('KOOGATE_ADMIN') . '/api/v1/instances/' . rawurlencode($id) . '/ready';
    $reply = @file_get_contents($url, false, stream_context_create(['http' => $request]));
    $status = $reply === false ? 'no connection' : explode(' ', $http_response_header[0])[1];
    // 404, 409: not there, or released meanwhile. Nothing to report.
    if (in_array($status, ['200', '404', '409'], true)) {
        return true;
    }
    error_log("not reported: $status $reply");
    return false;
}

if (PHP_SAPI === 'cli') {
    work();
}
hook();
