package sops

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"github.com/micro/go-platform/config"
)

// device is an identity that may be unplugged, and counts how often it is asked.
type device struct {
	age.Identity
	unplugged atomic.Bool
	asked     atomic.Int64
}

func (d *device) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	d.asked.Add(1)
	if d.unplugged.Load() {
		return nil, errors.New("no device")
	}
	return d.Identity.Unwrap(stanzas)
}

func plugged(t *testing.T, dir string) (*Resolver, *device) {
	t.Helper()
	d := &device{Identity: identity(t)}
	r, err := New(dir, d)
	if err != nil {
		t.Fatal(err)
	}
	return r, d
}

// However many references there are to a file, its key is asked for once.
func TestAFileIsDecryptedOnceForAsLongAsItStays(t *testing.T) {
	dir := folder(t)
	r, d := plugged(t, dir)
	resolve := func(ref, want string, asked int64) {
		t.Helper()
		if got, err := r.Resolve(t.Context(), ref); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", ref, got, err, want)
		}
		if n := d.asked.Load(); n != asked {
			t.Errorf("%s: the identity was asked %d times, want %d", ref, n, asked)
		}
	}
	resolve("db.yaml#postgres.password", "hunter2", 1)
	resolve("db.yaml#postgres.port", "5432", 1)
	resolve("./db.yaml#postgres.password", "hunter2", 1)
	resolve("app.json#api.key", "json-secret", 2)
	if err := os.Rename(filepath.Join(dir, "db2.yaml"), filepath.Join(dir, "db.yaml")); err != nil {
		t.Fatal(err)
	}
	resolve("db.yaml#postgres.password", "correct-horse", 3)
	resolve("db.yaml#postgres.password", "correct-horse", 3)
}

// A refusal is that of a moment; what was changed without the key stays refused.
func TestADeviceThatComesBackIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := folder(t)
		change(t, filepath.Join(dir, "db.yaml"), filepath.Join(dir, "changed.yaml"), "password: ENC[AES256_GCM,data:")
		r, d := plugged(t, dir)
		d.unplugged.Store(true)
		for range 3 {
			if got, err := r.Resolve(t.Context(), "db.yaml#postgres.password"); !errors.Is(err, config.ErrDenied) {
				t.Fatalf("got %q, %v, want ErrDenied", got, err)
			}
		}
		if n := d.asked.Load(); n != 1 {
			t.Errorf("three references asked the identity %d times, want 1", n)
		}
		d.unplugged.Store(false)
		time.Sleep(refusedFor - time.Millisecond)
		if _, err := r.Resolve(t.Context(), "db.yaml#postgres.password"); !errors.Is(err, config.ErrDenied) {
			t.Errorf("before its time: %v", err)
		}
		time.Sleep(time.Millisecond)
		if got, err := r.Resolve(t.Context(), "db.yaml#postgres.password"); got != "hunter2" || err != nil {
			t.Errorf("after it came back: got %q, %v", got, err)
		}
		asked := d.asked.Load() + 1
		for range 2 {
			if _, err := r.Resolve(t.Context(), "changed.yaml#postgres.password"); !errors.Is(err, config.ErrInvalid) {
				t.Errorf("a changed file: %v", err)
			}
			time.Sleep(time.Hour)
		}
		if n := d.asked.Load(); n != asked {
			t.Errorf("a changed file asked %d times, want once", n-asked+1)
		}
	})
}

// touched is an identity that waits for somebody's hand.
type touched struct {
	age.Identity
	hand chan struct{}
}

func (i touched) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	<-i.hand
	return i.Identity.Unwrap(stanzas)
}

func TestNobodyWaitsLongerForADeviceThanTheyWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hand := make(chan struct{})
		r, err := New(folder(t), touched{identity(t), hand})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if got, err := r.Resolve(ctx, "db.yaml#postgres.password"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %q, %v, want DeadlineExceeded", got, err)
			}
			cancel()
		}
		close(hand)
		if got, err := r.Resolve(t.Context(), "db.yaml#postgres.password"); got != "hunter2" || err != nil {
			t.Errorf("once it was touched: got %q, %v", got, err)
		}
	})
}

// An identity that panics fails its files, not the program.
func TestAnIdentityMayPanic(t *testing.T) {
	r, err := New(folder(t), touched{nil, closed()})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Resolve(t.Context(), "db.yaml#postgres.password"); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("got %q, %v, want ErrInvalid", got, err)
	}
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// Neither many files nor large ones are all kept.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		size  int // of what stands behind each file
		files int
	}{"many": {0, maxFiles + 40}, "large": {maxFile / 2, 2*maxBytes/maxFile + 6}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := append(make([]byte, c.size), "no file of sops"...)
			r, _ := plugged(t, dir)
			most := 0
			for i := range c.files {
				file := fmt.Sprintf("%d.json", i)
				write(t, filepath.Join(dir, file), text)
				if _, err := r.Resolve(t.Context(), file+"#a"); !errors.Is(err, config.ErrInvalid) {
					t.Fatal(err)
				}
				if len(r.known) > maxFiles || r.bytes > maxBytes || r.bytes != len(r.known)*len(text) {
					t.Fatalf("after %d files: %d, %d bytes", i+1, len(r.known), r.bytes)
				}
				most = max(most, len(r.known))
			}
			if most == c.files || most < 2 {
				t.Errorf("%d of %d files were kept at a time: the bound was not met", most, c.files)
			}
		})
	}
}
