package db_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

func TestNewRefusesBadOptions(t *testing.T) {
	for name, opts := range map[string][]db.Option{
		"nil": {nil}, "two backends": {db.Memory(), db.Memory()}, "namespace": {db.WithNamespace("x; drop")}, "timeout": {db.WithTimeout(0)},
		"dial timeout": {db.WithDialTimeout(-1)}, "logger": {db.WithLogger(nil)}, "bytes": {db.WithMaxBytes(0)}, "key": {db.WithCursorKey([]byte("short"))},
		"driver": {db.WithDriver("x", nil)},
	} {
		if _, err := db.New(opts...); !errors.Is(err, db.ErrInvalid) || !strings.HasPrefix(err.Error(), "db: new: ") {
			t.Errorf("%s: got %v, want ErrInvalid that names the package and the operation", name, err)
		}
	}
}

// silent is a driver whose server does not answer.
type silent struct{ db.Driver }

func (silent) Ping(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (silent) Close() error                   { return nil }
func (silent) Features() db.Features          { return db.Features{} }

func TestNewFailsWithinItsDeadline(t *testing.T) {
	backend := db.WithDriver("silent", func(context.Context) (db.Driver, error) { return silent{}, nil })
	if _, err := db.New(backend, db.WithDialTimeout(10*time.Millisecond)); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	d, err := db.New(backend, db.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}
