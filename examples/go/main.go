// A merchant's application: the hook endpoint that koogate calls. README.md says how to start it, docs/events.md what it is told.
//
// The one rule: the same operationId has one effect and one answer. Here the effect (a row in `account`) and the answer (a row
// in `operation`) are one transaction of SQLite, so that parallel deliveries, a crash and a restart change nothing.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	_ "github.com/mattn/go-sqlite3"
)

const schema = `
CREATE TABLE IF NOT EXISTS operation (id TEXT PRIMARY KEY, event TEXT NOT NULL, answer TEXT);
CREATE TABLE IF NOT EXISTS account (instance_id TEXT PRIMARY KEY, status TEXT NOT NULL, password TEXT, expires TEXT, quantity INTEGER);`

// Event is what this application reads of an event. Members that it does not know are left out, as they should be: later
// versions of koogate add some. Pointers are what may be null or absent: without [open_api] a V2 purchase tells ids only.
type Event struct {
	Event       string `json:"event"`
	OperationID string `json:"operationId"`
	Test        bool   `json:"test"`
	Kind        string `json:"kind"`
	InstanceID  string `json:"instanceId"`
	Order       struct {
		ExpireTime *string `json:"expireTime"`
		Quantity   *int64  `json:"quantity"`
	} `json:"order"`
	Instance struct {
		Status string `json:"status"`
	} `json:"instance"`
	Change struct {
		ExpireTime *string `json:"expireTime"`
	} `json:"change"`
}

// Answer is what koogate is told.
type Answer struct {
	Status     string  `json:"status"`
	Access     *Access `json:"access,omitempty"`
	License    string  `json:"license,omitempty"`
	ResultCode string  `json:"resultCode,omitempty"`
	Message    string  `json:"message,omitempty"`
}

// Access is how the buyer gets in. koogate refuses members that it does not know.
type Access struct {
	FrontEndURL string `json:"frontEndUrl"`
	UserName    string `json:"userName"`
	Password    string `json:"password"`
}

type shop struct {
	database *sql.DB
	key      []byte
	seats    int
	admin    string // set: accounts are opened in the background and reported there (pending). Empty: at once (ready)
	token    string
}

func setting(name, otherwise string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return otherwise
}

func accessTo(id, password string) *Access {
	// Ids come from outside: percent-encode them in an address.
	return &Access{"https://app.example.com/" + url.PathEscape(id), "admin", password}
}

func randomHex(bytes int) string {
	random := make([]byte, bytes)
	if _, err := rand.Read(random); err != nil {
		log.Fatal(err)
	}
	return hex.EncodeToString(random)
}

func (s *shop) create(tx *sql.Tx, e Event) (Answer, error) {
	var status, password string
	err := tx.QueryRow("SELECT status, password FROM account WHERE instance_id = ?", e.InstanceID).Scan(&status, &password)
	if errors.Is(err, sql.ErrNoRows) {
		var taken int
		if err := tx.QueryRow("SELECT count(*) FROM account WHERE status <> 'released'").Scan(&taken); err != nil {
			return Answer{}, err
		}
		if taken >= s.seats {
			return Answer{Status: "refused", ResultCode: "000106", Message: "sold out"}, nil
		}
		status, password = "active", randomHex(8)
		if s.admin != "" {
			status = "opening"
		}
		_, err = tx.Exec("INSERT INTO account VALUES (?, ?, ?, ?, ?)", e.InstanceID, status, password, e.Order.ExpireTime, e.Order.Quantity)
	}
	if err != nil {
		return Answer{}, err
	}
	if status == "opening" {
		return Answer{Status: "pending"}, nil
	}
	return Answer{Status: "ready", Access: accessTo(e.InstanceID, password)}, nil
}

// Renewal, freeze, unfreeze, upgrade, release: set what the event says, add nothing up. Twice is then as good as once.
func change(tx *sql.Tx, e Event) (Answer, error) {
	if e.Kind == "license-code" {
		// KooGallery makes these codes: the first event about one is the first this application hears of it.
		if _, err := tx.Exec("INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, NULL, NULL)", e.InstanceID); err != nil {
			return Answer{}, err
		}
	}
	done, err := tx.Exec("UPDATE account SET status = ? WHERE instance_id = ?", e.Instance.Status, e.InstanceID)
	if err != nil {
		return Answer{}, err
	}
	if changed, err := done.RowsAffected(); err != nil || changed == 0 && e.Event != "instance.release" {
		// Fails the attempt: koogate tries again and tells the operator.
		return Answer{}, fmt.Errorf("no account %s (%v)", e.InstanceID, err)
	}
	if e.Event == "instance.renew" {
		// The date may also go back (a refunded renewal), or be null: no end any more.
		_, err = tx.Exec("UPDATE account SET expires = ? WHERE instance_id = ?", e.Change.ExpireTime, e.InstanceID)
	} else if e.Event == "instance.upgrade" && e.Order.Quantity != nil {
		_, err = tx.Exec("UPDATE account SET quantity = ? WHERE instance_id = ?", e.Order.Quantity, e.InstanceID)
	}
	return Answer{Status: "ready"}, err
}

// A random licence is fine: it is kept with the operation, and given again.
func issue(tx *sql.Tx, e Event) (Answer, error) {
	var err error
	if e.Kind == "license" {
		_, err = tx.Exec("INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, ?, NULL)", e.InstanceID, e.Change.ExpireTime)
	}
	return Answer{Status: "ready", License: strings.ToUpper(randomHex(8))}, err
}

func (s *shop) handle(tx *sql.Tx, e Event) (Answer, error) {
	switch e.Event {
	case "instance.create":
		return s.create(tx, e)
	case "instance.renew", "instance.freeze", "instance.unfreeze", "instance.upgrade", "instance.release":
		return change(tx, e)
	case "license.issue":
		return issue(tx, e)
	case "instance.check_change":
		// A question: change nothing. Compare what is in use with the smaller quota; here nothing is counted.
		return Answer{Status: "ready"}, nil
	case "tenant.sync", "application.sync", "users.sync", "departments.sync":
		// Joint operation (联营). Who has no use for these says ready: a failing one holds up the rest.
		return Answer{Status: "ready"}, nil
	}
	// An event of a later version: a failed attempt that the operator sees, not a lost one.
	return Answer{}, fmt.Errorf("unknown event %q", e.Event)
}

func (s *shop) answer(body []byte) (string, error) {
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return "", err
	}
	if e.Test { // a debugging call (调试) that was forwarded: no real effect
		text, err := json.Marshal(Answer{Status: "ready", Access: accessTo("test", "test"), License: "TEST"})
		return string(text), err
	}
	// IMMEDIATE (_txlock below): of two deliveries at the same moment the second waits here, and then finds the first one's answer.
	tx, err := s.database.Begin()
	if err != nil {
		return "", err
	}
	defer tx.Rollback() // does nothing after a commit
	var known *string   // nil: not told before, or pending
	err = tx.QueryRow("SELECT answer FROM operation WHERE id = ?", e.OperationID).Scan(&known)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	if known != nil {
		return *known, nil
	}
	told, err := s.handle(tx, e)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(told)
	if err != nil {
		return "", err
	}
	// Only "ready" is final. After "pending" and "refused" the same operationId asks again, and may succeed.
	// The event is kept as well (of a refusal nothing): `koogate restore --adopt` reads it when a backup was too old.
	if told.Status != "refused" && e.Event != "instance.check_change" {
		final := sql.NullString{String: string(text), Valid: told.Status == "ready"}
		if _, err := tx.Exec("INSERT OR REPLACE INTO operation VALUES (?, ?, ?)", e.OperationID, string(body), final); err != nil {
			return "", err
		}
	}
	return string(text), tx.Commit()
}

// Whether koogate sent these very bytes within the last five minutes (https://www.standardwebhooks.com, whose Go library does
// the same). Verify the body as it came, before it is parsed.
func (s *shop) verified(header http.Header, body []byte) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if age := time.Now().Unix() - seconds; err != nil || id == "" || age > 300 || age < -300 {
		return false
	}
	mac := hmac.New(sha256.New, s.key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	expected := mac.Sum(nil)
	for _, signature := range strings.Split(header.Get("webhook-signature"), " ") {
		version, text, _ := strings.Cut(signature, ",")
		given, err := base64.StdEncoding.DecodeString(text)
		// hmac.Equal takes the same time wherever the two differ; bytes.Equal does not.
		if version == "v1" && err == nil && hmac.Equal(given, expected) {
			return true
		}
	}
	return false
}

func (s *shop) hook(response http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, 1<<20))
	if err != nil || request.Method != http.MethodPost {
		http.Error(response, "a POST of at most 1 MiB", http.StatusBadRequest)
		return
	}
	// webhook-id repeats with every attempt: do not refuse a known one.
	if !s.verified(request.Header, body) {
		http.Error(response, "not signed by koogate", http.StatusUnauthorized)
		return
	}
	text, err := s.answer(body)
	if err != nil {
		log.Print("failed: ", err) // anything but 2xx is a failed attempt, and is made again
		http.Error(response, err.Error(), http.StatusInternalServerError)
		return
	}
	response.Header().Set("Content-Type", "application/json")
	io.WriteString(response, text)
}

// Opens what is `opening` and reports what is `opened`. Both are in the database, so a restart goes on where this ended.
func (s *shop) openAccounts() {
	for ; ; time.Sleep(time.Second) {
		// A report that failed is made again; besides, koogate asks again every ten minutes.
		if err := s.openWaiting(); err != nil {
			log.Print("not reported: ", err)
		}
	}
}

func (s *shop) openWaiting() error {
	rows, err := s.database.Query("SELECT instance_id, status, password FROM account WHERE status IN ('opening', 'opened')")
	if err != nil {
		return err
	}
	var waiting [][3]string
	for rows.Next() {
		var a [3]string
		if err := rows.Scan(&a[0], &a[1], &a[2]); err != nil {
			return err
		}
		waiting = append(waiting, a)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, a := range waiting {
		id, status, password := a[0], a[1], a[2]
		if status == "opening" {
			// Your slow work stands here. It may be begun twice (a crash in between), so it must bear that.
			if _, err := s.database.Exec("UPDATE account SET status = 'opened' WHERE instance_id = ? AND status = 'opening'", id); err != nil {
				return err
			}
		}
		if err := s.report(id, Answer{Status: "ready", Access: accessTo(id, password)}); err != nil {
			return err
		}
		if _, err := s.database.Exec("UPDATE account SET status = 'active' WHERE instance_id = ? AND status = 'opened'", id); err != nil {
			return err
		}
	}
	return nil
}

func (s *shop) report(id string, told Answer) error {
	text, err := json.Marshal(told)
	if err != nil {
		return err
	}
	request, err := http.NewRequest("POST", s.admin+"/api/v1/instances/"+url.PathEscape(id)+"/ready", bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	client := http.Client{Timeout: 10 * time.Second}
	reply, err := client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	switch reply.StatusCode {
	case 200, 404, 409: // 404, 409: not there, or released meanwhile. Nothing to report
		return nil
	}
	return fmt.Errorf("koogate answers %s", reply.Status)
}

func mustRead(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func main() {
	// FULL: what was answered survives a power cut.
	options := "?_txlock=immediate&_busy_timeout=30000&_journal_mode=WAL&_synchronous=FULL"
	database, err := sql.Open("sqlite3", "file:"+setting("DATABASE", "shop.db")+options)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := database.Exec(schema); err != nil {
		log.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(mustRead(setting("HOOK_SECRET_FILE", "hook.secret")), "whsec_"))
	if err != nil || len(key) == 0 {
		log.Fatal("the hook secret is not whsec_ and base64")
	}
	seats, err := strconv.Atoi(setting("SEATS", "1000"))
	if err != nil {
		log.Fatal(err)
	}
	s := &shop{database: database, key: key, seats: seats, admin: setting("KOOGATE_ADMIN", "")}
	if s.admin != "" {
		s.token = mustRead(setting("ADMIN_TOKEN_FILE", "admin.token"))
		go s.openAccounts()
	}
	// 127.0.0.1: koogate is the only caller. On another machine put HTTPS in front.
	server := &http.Server{
		Addr: "127.0.0.1:" + setting("PORT", "3000"), Handler: http.HandlerFunc(s.hook), ReadTimeout: 30 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
