package sops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/micro/go-platform/config"
)

// The files of testdata were made by sops 3.13.3 with testdata/make, for a key
// that is good for nothing else.

// identity is the key that most files of testdata are for.
func identity(t testing.TB) age.Identity {
	t.Helper()
	return keyOf(t, "testdata/key.txt")
}

func keyOf(t testing.TB, file string) age.Identity {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := age.ParseIdentities(f)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return all[0]
}

// folder is a copy of testdata that a test may change.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReferences(t *testing.T) {
	dir := folder(t)
	outside := filepath.Join(t.TempDir(), "db.yaml")
	if err := os.Rename(filepath.Join(dir, "db2.yaml"), outside); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "link.yaml")), os.Symlink("db.yaml", filepath.Join(dir, "within.yaml")), os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700)); err != nil {
		t.Fatal(err)
	}
	change(t, filepath.Join(dir, "db.yaml"), filepath.Join(dir, "changed.yaml"), "password: ENC[AES256_GCM,data:")
	change(t, filepath.Join(dir, "db.yaml"), filepath.Join(dir, "mac.yaml"), "mac: ENC[AES256_GCM,data:")
	swap(t, filepath.Join(dir, "db.yaml"), filepath.Join(dir, "plain.yaml"), "plain_unencrypted: seen", "plain_unencrypted: other")
	write(t, filepath.Join(dir, "bare.yaml"), []byte("postgres:\n  password: hunter2\n"))
	write(t, filepath.Join(dir, "big.yaml"), bytes.Repeat([]byte("#"), maxFile+1))
	write(t, filepath.Join(dir, "circle.yaml"), []byte("a: b\n---\nc: &x [*x]\n"))
	write(t, filepath.Join(dir, "broken.yaml"), []byte("hunter2: [hunter2"))
	r, err := New(dir, identity(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ref, want string
		err       error
	}{
		{"db.yaml#postgres.password", "hunter2", nil},
		{"./db.yaml#postgres.password", "hunter2", nil},
		{"within.yaml#postgres.password", "hunter2", nil},
		{"db.yaml#postgres.port", "5432", nil},
		{"db.yaml#postgres.tls", "true", nil},
		{"db.yaml#postgres.ratio", "0.25", nil},
		{"db.yaml#postgres.empty", "", nil},
		{"db.yaml#hosts.0", "a.example.com", nil},
		{"db.yaml#hosts.1", "b.example.com", nil},
		{"db.yaml#hosts.2", "", config.ErrNotFound},
		{"db.yaml#hosts.-1", "", config.ErrNotFound},
		{`db.yaml#by\.name.x`, "dotted", nil},
		{"db.yaml#by.name.x", "", config.ErrNotFound},
		{"db.yaml#plain_unencrypted", "seen", nil},
		{"db.yaml#postgres.none", "", config.ErrNotFound},
		{"db.yaml#postgres", "", config.ErrInvalid},
		{"db.yaml#hosts", "", config.ErrInvalid},
		{"db.yaml#postgres.nothing", "", config.ErrNotFound},
		{"db.yaml#sops.mac", "", config.ErrNotFound},
		{"db.yaml", "", config.ErrInvalid},
		{"db.yaml#", "", config.ErrInvalid},
		{"#a", "", config.ErrInvalid},
		{"app.json#api.key", "json-secret", nil},
		{"app.json#api.keys.1", "two", nil},
		{"app.env#API_KEY", "env-secret", nil},
		{"app.ini#api.key", "ini-secret", nil},
		{"tls.pem", "-----BEGIN SECRET-----\nAAAA\n-----END SECRET-----\n", nil},
		{"tls.pem#data", "", config.ErrInvalid},
		{"groups.yaml#a", "", config.ErrDenied}, // two groups of keys, of which this is in one
		{"other.yaml#a", "", config.ErrDenied},
		{"absent.yaml#a", "", config.ErrNotFound},
		{"changed.yaml#postgres.password", "", config.ErrInvalid},
		{"mac.yaml#postgres.password", "", config.ErrInvalid},
		{"plain.yaml#plain_unencrypted", "", config.ErrInvalid},
		{"bare.yaml#postgres.password", "", config.ErrInvalid},
		{"broken.yaml#a", "", config.ErrInvalid},
		{"circle.yaml#a", "", config.ErrInvalid}, // it would fill the stack
		{"big.yaml#a", "", config.ErrTooLarge},
		{"folder.yaml#a", "", config.ErrInvalid},
		{"../db.yaml#a", "", config.ErrInvalid},
		{"/etc/passwd", "", config.ErrInvalid},
	} {
		got, err := r.Resolve(t.Context(), test.ref)
		if got != test.want || !errors.Is(err, test.err) || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %q, %v, want %q, %v", test.ref, got, err, test.want, test.err)
		}
	}
	if r, err := New(dir, identity(t), keyOf(t, "testdata/second.txt")); err != nil {
		t.Error(err)
	} else if got, err := r.Resolve(t.Context(), "groups.yaml#a"); got != "shared" || err != nil {
		t.Errorf("with a key of each group: %q, %v", got, err)
	}
	if got, err := r.Resolve(t.Context(), "link.yaml#postgres.password"); err == nil {
		t.Errorf("a link that leads outside: %q", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Resolve(ended, "db.yaml#postgres.password"); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// swap writes a file with one text for another.
func swap(t *testing.T, from, to, old, new string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil || !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%q is not in %s: %v", old, from, err)
	}
	write(t, to, bytes.Replace(text, []byte(old), []byte(new), 1))
}

// change writes a file with one character of what follows a text changed.
func change(t *testing.T, from, to, after string) {
	t.Helper()
	text, err := os.ReadFile(from)
	i := bytes.Index(text, []byte(after))
	if err != nil || i < 0 {
		t.Fatalf("%q is not in %s: %v", after, from, err)
	}
	i += len(after)
	if text[i] == 'A' {
		text[i] = 'B'
	} else {
		text[i] = 'A'
	}
	write(t, to, text)
}

func TestNewRefusesWhatCantBe(t *testing.T) {
	key := identity(t)
	for name, f := range map[string]func() (*Resolver, error){
		"no folder":      func() (*Resolver, error) { return New("", key) },
		"no identity":    func() (*Resolver, error) { return New(".") },
		"a nil identity": func() (*Resolver, error) { return New(".", key, nil) },
	} {
		if r, err := f(); r != nil || !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A program never sees the environment's keys, and asks only for what is in the identities.
func TestTheEnvironmentIsNotRead(t *testing.T) {
	key, err := os.ReadFile("testdata/key.txt")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOPS_AGE_KEY", string(key))
	file, err := filepath.Abs("testdata/key.txt")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOPS_AGE_KEY_FILE", file)
	another, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	r, err := New("testdata", another)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Resolve(t.Context(), "db.yaml#postgres.password"); !errors.Is(err, config.ErrDenied) {
		t.Errorf("got %q, %v", got, err)
	}
	if r, err = New("testdata", another, identity(t)); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Resolve(t.Context(), "db.yaml#postgres.password"); got != "hunter2" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// A rotation is live, what can't be decrypted leaves the last value, and no value is in any output.
func TestRotationIsLiveAndNothingIsShown(t *testing.T) {
	dir := folder(t)
	r, err := New(dir, identity(t))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	doc := config.Memory("app", []byte(`{"dsn": "postgres://app:${sops:db.yaml#postgres.password}@db/shop"}`))
	cfg, err := config.New(config.WithSource(doc), config.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		config.WithResolver("sops", r, config.ResolveEvery(10*time.Millisecond)))
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			cfg.Close()
		}
	}()
	dsn := func() string { return cfg.Get("dsn").String("") }
	if got := dsn(); got != "postgres://app:hunter2@db/shop" {
		t.Fatalf("got %q", got)
	}
	await := func(what string, holds func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) { // polling
			if time.Now().After(end) {
				t.Fatalf("%s: %q, %+v", what, dsn(), cfg.Health())
			}
		}
	}
	whole, err := os.ReadFile(filepath.Join(dir, "db2.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	change(t, filepath.Join(dir, "db2.yaml"), filepath.Join(dir, "db.yaml"), "password: ENC[AES256_GCM,data:")
	await("a broken file is a problem", func() bool { return strings.Contains(fmt.Sprintf("%+v", cfg.Health()), "without the key") })
	if got := dsn(); got != "postgres://app:hunter2@db/shop" {
		t.Errorf("a broken file gave %q", got)
	}
	write(t, filepath.Join(dir, "next"), whole)
	if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "db.yaml")); err != nil {
		t.Fatal(err)
	}
	await("the new value arrives", func() bool { return dsn() == "postgres://app:correct-horse@db/shop" })
	shown := fmt.Sprint(cfg.Snapshot(), cfg.Health())
	closed = true
	if err := cfg.Close(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "correct-horse"} {
		if strings.Contains(shown, secret) || strings.Contains(log.String(), secret) {
			t.Errorf("%s is shown: %s\n%s", secret, shown, log.String())
		}
	}
	if !strings.Contains(shown, "[redacted]") {
		t.Errorf("nothing is redacted in %s", shown)
	}
}
