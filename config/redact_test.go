package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/micro/go-platform/config"
)

const hunter = "hunter2"

// shown is everything that a configuration says of itself in which document,
// in its own words, may appear.
func shown(t testing.TB, doc []byte) string {
	t.Helper()
	s, err := config.ParseSnapshot(nil, doc)
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	var out strings.Builder
	out.WriteString(s.String())
	fmt.Fprintf(&out, "\n%v %+v %q\n", s, s.Get(""), s.Get(""))
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "s", s, "v", s.Get(""))
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	for _, v := range s.All() {
		out.WriteString("\n" + v.Show())
	}
	for _, c := range config.Diff(config.Value{}, s.Get("")) {
		out.WriteString("\n" + c.String())
	}
	empty, _ := config.ParseSnapshot(nil, []byte(`{}`))
	for _, c := range append(config.Diff(s.Get(""), empty.Get("")), config.Diff(empty.Get(""), s.Get(""))...) {
		out.WriteString("\n" + c.String())
	}
	for path, v := range s.All() { // as another type, and by getters
		fmt.Fprintf(&out, "\n%s: %v", path, v.Scan(new(int64)))
		fmt.Fprintf(&out, "\n%s: %v", path, v.Scan(new(struct{ X bool })))
		fmt.Fprintf(&out, "\n%s: %v", path, v.Scan(new(picky)))
	}
	return out.String()
}

// picky says in its errors what it was given, as url.URL and others do.
type picky struct{}

func (*picky) UnmarshalText(b []byte) error { return fmt.Errorf("parse %q: no", b) }
func (*picky) UnmarshalJSON(b []byte) error { return fmt.Errorf("parse %s: no", b) }

func TestKeysThatLookLikeSecretsAreHidden(t *testing.T) {
	for _, key := range []string{
		"password", "passwords", "passwd", "pwd", "pass", "passphrase", "db_password", "dbPassword", "dbPW", "DBPassword", "APIKey", "DB-PASSWORD", "password2", "userpwd", "root.password",
		"secret", "secrets", "client_secret", "clientSecret", "secret_key", "secretKey", "secretkey", "SECRET_KEY_BASE", "secretAccessKey", "webhook_secret", "secret_id",
		"token", "tokens", "access_token", "refreshToken", "bot-token", "authtoken", "token_prod", "id_token",
		"api_key", "apikey", "apiKeys", "x-api-key", "signing_key", "private_key", "encryption_key", "encryptionKeys", "master_key", "hmac_key", "access_key", "account_key", "tls_key", "ssh_key", "session_key", "jwt_key",
		"authorization", "Authorization", "auth", "proxy_authorization", "bearer", "cookie", "session", "key", "keys", "pem", "client_key_pem",
		"credentials", "credential", "creds", "aws_creds", "dsn", "mysql_dsn", "connection_string", "connectionString", "psk", "wpa_psk", "otp", "salt", "jwt", "signature", "license", "passcode", "pw",
	} {
		doc, _ := json.Marshal(map[string]any{"a": map[string]any{key: hunter}})
		if got := shown(t, doc); strings.Contains(got, hunter) {
			t.Errorf("%s shows its value: %s", key, got)
		}
	}
}

// The twins: what merely sounds like it stays readable.
func TestKeysThatTellOfSecretsAreShown(t *testing.T) {
	for _, key := range []string{
		"password_file", "passwordFile", "token_ttl", "token_url", "secret_name", "secretName", "key_id", "access_key_id", "key_file", "private_key_path", "token_endpoint", "secrets_dir",
		"privatekeyfile", "accesstokenexpiry", "public_key", "partition_key", "primary_key", "routing_key", "cache_key", "monkey", "keyboard", "passenger", "compass", "tokenizer", "authority", "author", "auth_method", "session_ttl", "password_policy",
		"host", "addr", "region", "pipeline", "cookie_name", "connections", "url", "endpoint", "username", "user",
	} {
		doc, _ := json.Marshal(map[string]any{"a": map[string]any{key: "plain"}})
		s, err := config.ParseSnapshot(nil, doc)
		if err != nil || !strings.Contains(s.String(), "plain") {
			t.Errorf("%s hides its value: %s, %v", key, s, err)
		}
	}
	s, err := config.ParseSnapshot(nil, []byte(`{"max_tokens":4096,"auth":{"enabled":true,"issuer":"https://id"},"session":{"ttl":"5m"},"token":null,"tokens":12}`))
	if want := `{"auth":{"enabled":true,"issuer":"https://id"},"max_tokens":4096,"session":{"ttl":"5m"},"token":null,"tokens":"[redacted]"}`; err != nil || s.String() != want {
		t.Errorf("got %s, %v, want %s", s, err, want)
	}
}

func TestSecretsInsideValuesAreMasked(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://bob:hunter2@db:5432/orders?sslmode=disable":           "postgres://bob:[redacted]@db:5432/orders?sslmode=disable",
		"postgres://bob:hunter2@a@db/orders":                              "postgres://bob:[redacted]@db/orders",
		"postgres://bob:x/hunter2@db/orders":                              "postgres://bob:[redacted]@db/orders",
		"redis://:hunter2@a:6379,b:6379/0":                                "redis://:[redacted]@a:6379,b:6379/0",
		"amqp://u:hunter2@a,amqp://v:hunter2@b":                           "amqp://u:[redacted]@a,amqp://v:[redacted]@b",
		"see https://u:hunter2@h/p and http://v:hunter2@h":                "see https://u:[redacted]@h/p and http://v:[redacted]@h",
		"https://hunter2@git.example/r.git":                               "https://[redacted]@git.example/r.git",
		"https://h/cb?token=hunter2&x=1":                                  "https://h/cb?token=[redacted]&x=1",
		"https://h/blob?sv=1&sig=hunter2":                                 "https://h/blob?sv=1&sig=[redacted]",
		"https://h/p#access_token=hunter2":                                "https://h/p#access_token=[redacted]",
		"jdbc:sqlserver://h;user=sa;password=hunter2;encrypt=true":        "jdbc:sqlserver://h;user=sa;password=[redacted];encrypt=true",
		"bob:hunter2@tcp(db:3306)/orders?parseTime=true":                  "bob:[redacted]@tcp(db:3306)/orders?parseTime=true",
		"bob:hunter2@a:hunter2@tcp(db:3306)/orders":                       "bob:[redacted]@tcp(db:3306)/orders",
		"host=db user=bob password=hunter2 dbname=orders":                 "host=db user=bob password=[redacted] dbname=orders",
		"host=db password='a hunter2' dbname=orders":                      "host=db password=[redacted] dbname=orders",
		"Server=db;User Id=sa;Password=x hunter2, y;Encrypt=true":         "Server=db;User Id=sa;Password=[redacted];Encrypt=true",
		"DefaultEndpointsProtocol=https;AccountKey=hunter2==;Suffix=core": "DefaultEndpointsProtocol=https;AccountKey=[redacted];Suffix=core",
		"cache:6380,password=hunter2,ssl=True":                            "cache:6380,password=[redacted],ssl=True",
		"--user bob --password=hunter2":                                   "--user bob --password=[redacted]",
		"Authorization: Bearer hunter2":                                   "Authorization: Bearer [redacted]",
		"basic aHVudGVyMg==":                                              "basic [redacted]",
		"-----BEGIN RSA PRIVATE KEY-----\nhunter2":                        "[redacted]",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.hunter2":            "[redacted]",
		"ghp_hunter2hunter2hunter2hunter2hunter2ab":                       "[redacted]",
		"AKIAIOSFODNN7EXAMPLE":                                            "[redacted]",
		"svn+ssh://u:hunter2@h, a-b://v:hunter2@h c.d://w:hunter2@h":      "svn+ssh://u:[redacted]@h, a-b://v:[redacted]@h c.d://w:[redacted]@h",
		"H2://u:hunter2@h":                                                "H2://u:[redacted]@h",
		"HTTPS://hunter2@h/p":                                             "HTTPS://[redacted]@h/p",
		// and what holds none stays as it is
		"redis://@h:6379":                            "redis://@h:6379",
		"git+https://me@h/p":                         "git+https://me@h/p",
		"a.https://me@h/p":                           "a.https://me@h/p",
		"a-https://me@h/p":                           "a-https://me@h/p",
		"a2https://me@h/p":                           "a2https://me@h/p",
		"sip:bob@example.com":                        "sip:bob@example.com",
		"sips:bob@example.com":                       "sips:bob@example.com",
		"xmpp:bob@example.com":                       "xmpp:bob@example.com",
		"MAILTO:ops@example.com":                     "MAILTO:ops@example.com",
		"https://example.com:8443/a/b?x=1#y":         "https://example.com:8443/a/b?x=1#y",
		"https://example.com/@scope/pkg":             "https://example.com/@scope/pkg",
		"http://[::1]:8080/":                         "http://[::1]:8080/",
		"redis://bob@h:6379":                         "redis://bob@h:6379",
		"git@github.com:micro/go-platform.git":       "git@github.com:micro/go-platform.git",
		"127.0.0.1:6379":                             "127.0.0.1:6379",
		"mailto:ops@example.com":                     "mailto:ops@example.com",
		"error: ask ops@example.com":                 "error: ask ops@example.com",
		"a=b c=d":                                    "a=b c=d",
		"the password is kept elsewhere":             "the password is kept elsewhere",
		"-----BEGIN CERTIFICATE-----\nMIIB":          "-----BEGIN CERTIFICATE-----\nMIIB",
		"http://a, http://b":                         "http://a, http://b",
		"basic":                                      "basic",
		"unix:///var/run/x.sock":                     "unix:///var/run/x.sock",
		"sum(rate(x{job=\"a\"}[5m])) by (le) > 0.99": "sum(rate(x{job=\"a\"}[5m])) by (le) > 0.99",
	} {
		doc, _ := json.Marshal(map[string]any{"value": in})
		s, err := config.ParseSnapshot(nil, doc)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal([]byte(s.Get("value").Show()), &got); err != nil || got != want {
			t.Errorf("%s\ngot  %s %v\nwant %s", in, got, err, want)
		}
		if all := shown(t, doc); strings.Contains(all, hunter) {
			t.Errorf("%s: shown somewhere: %s", in, all)
		}
		again, _ := json.Marshal(map[string]any{"value": got})
		var twice string
		s, _ = config.ParseSnapshot(nil, again)
		if err := json.Unmarshal([]byte(s.Get("value").Show()), &twice); err != nil || twice != got {
			t.Errorf("%s: masked twice it is %s %v", got, twice, err)
		}
	}
}

func TestSecretsThatANeighbourNamesAreHidden(t *testing.T) {
	for doc, hidden := range map[string]bool{
		`{"env":[{"name":"DB_PASSWORD","value":"hunter2"}]}`:        true,
		`{"env":[{"name":"DB_HOST","value":"hunter2"}]}`:            false,
		`{"header":{"name":"X-Api-Key","value":"hunter2"}}`:         true,
		`{"header":{"name":"X-Request-Id","value":"hunter2"}}`:      false,
		`{"args":["--user","bob","--password","hunter2"]}`:          true,
		`{"args":["--token","a","--user","hunter2"]}`:               false,
		`{"tokens":["a","hunter2"]}`:                                true,
		`{"keys":["hunter2"]}`:                                      true,
		`{"databases":{"main":{"dsn":"hunter2 is no form of it"}}}`: true,
		`{"databases":{"main":{"dsn":"bob:x@tcp(hunter2)/db"}}}`:    false,
		`{"password":{"current":"hunter2"}}`:                        true,
		`{"password":[{"a":"hunter2"}]}`:                            true,
	} {
		if got := shown(t, []byte(doc)); strings.Contains(got, hunter) == hidden {
			t.Errorf("%s: hidden = %v, want %v: %s", doc, !hidden, hidden, got)
		}
	}
}

func TestMisreadsAndRefusalsHideSecrets(t *testing.T) {
	c, m := open(t, `{"url":"postgres://bob:hunter2@db/x","signing_key":"hunter2"}`)
	c.Get("url").Int(0)
	c.Get("signing_key").Bool(false)
	if _, err := config.Bind[struct{ URL, SigningKey int }](c, ""); err == nil || strings.Contains(err.Error(), hunter) {
		t.Errorf("Bind: %v", err)
	}
	if got := fmt.Sprint(c.Health().Misreads); strings.Contains(got, hunter) || !strings.Contains(got, "bob:[redacted]@db") {
		t.Errorf("Health shows %s", got)
	}
	m.Set([]byte(`{"url":"postgres://bob:hunter2@db/y","signing_key":"hunter2-2"}`))
	if _, err := c.Subscribe("", nil); !errors.Is(err, config.ErrInvalid) {
		t.Error(err)
	}
	if got := fmt.Sprint(c.Health().Misreads, c.Health().Err()); strings.Contains(got, hunter) { // also while it changes
		t.Errorf("Health shows %s", got)
	}
}

// A Secret is not printed by any verb, with any flag, also where the verb does
// not fit a string and fmt complains. (Of %p and %w, which go vet refuses here,
// fmt asks no type.)
func TestNoVerbPrintsASecret(t *testing.T) {
	type holder struct {
		S config.Secret
		P *config.Secret
	}
	secret := config.Secret(hunter)
	for verb := rune('A'); verb <= 'z'; verb++ {
		for _, flags := range []string{"", "#", "+", "-12", " ", "012", ".3"} {
			for _, v := range []any{secret, &secret, []config.Secret{secret}, map[string]config.Secret{"k": secret}, holder{secret, &secret}} {
				if verb == 'p' || verb == 'w' {
					continue
				}
				if got := fmt.Sprintf("%"+flags+string(verb), v); strings.Contains(got, hunter) || strings.Contains(got, fmt.Sprintf("%x", hunter)) {
					t.Errorf("%%%s%c of a %T: %s", flags, verb, v, got)
				}
			}
		}
	}
	if got := fmt.Sprintf("%v %s %q %#v|%v", secret, secret, secret, secret, config.Secret("")); got != `[redacted] [redacted] "[redacted]" config.Secret("[redacted]")|` {
		t.Errorf("got %s", got)
	}
}

// Errors of documents that can't be read don't repeat their numbers.
func TestSyntaxErrorsHideValues(t *testing.T) {
	for _, doc := range []string{`{"token": 04711}`, `{"token": 4711e99999}`, `{"token": 4711x}`, `{"token": 4711.}`, `{"token": "4711`, `{"token": -4711-}`} {
		_, err := config.ParseSnapshot(nil, []byte(doc))
		if !errors.Is(err, config.ErrInvalid) || strings.Contains(err.Error(), "4711") || !strings.Contains(err.Error(), "line 1, column") {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// FuzzRedaction: whatever stands around it, a password is not shown.
func FuzzRedaction(f *testing.F) {
	f.Add("bob", "pa ss", "db:5432", "db_", "x=1")
	f.Add("", "p@:/?#[]", "[::1]", "Client", "?a&b")
	f.Add("a:b", "'; x=", "h", "9", "://")
	f.Fuzz(func(t *testing.T, user, pw, host, prefix, around string) {
		secret := "hunter2" + pw + "2retnuh"
		docs := []map[string]any{
			{"v": (&url.URL{Scheme: "postgres", User: url.UserPassword(user, secret), Host: host, Path: "/x"}).String()},
			{"v": "https://host/?password=" + url.QueryEscape(secret) + "&" + around},
		}
		if !strings.ContainsFunc(prefix, func(r rune) bool { return !unicode.IsLetter(r) && r != '_' }) {
			docs = append(docs, map[string]any{prefix + "_password": secret}, map[string]any{prefix + "SigningKey": []any{secret, around}}, map[string]any{prefix + "-tokens": map[string]any{around: secret}})
		}
		for _, d := range docs {
			doc, err := json.Marshal(d)
			if err != nil {
				return
			}
			s, err := config.ParseSnapshot(nil, doc)
			if err != nil {
				return
			}
			if got := s.String(); strings.Contains(got, "hunter2") || strings.Contains(got, "2retnuh") {
				if !strings.Contains(user+host+around+prefix, "hunter2") && !strings.Contains(user+host+around+prefix, "2retnuh") {
					t.Errorf("%s is shown as %s", doc, got)
				}
			}
		}
	})
}
