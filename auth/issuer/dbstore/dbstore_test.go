package dbstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/issuer/dbstore"
	"github.com/micro/go-platform/auth/issuer/issuertest"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func open(t *testing.T, backend db.Option) *dbstore.Store {
	t.Helper()
	d, err := db.New(backend)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	s, err := dbstore.New(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	for name, backend := range map[string]func(t *testing.T) db.Option{
		"memory": func(*testing.T) db.Option { return db.Memory() },
		"sqlite": func(t *testing.T) db.Option { return sql.SQLite(filepath.Join(t.TempDir(), "issuer.db")) },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			issuertest.Run(t, func(t *testing.T) issuer.Store { return open(t, backend(t)) })
		})
	}
}

func TestSweepRemovesWhatHasEnded(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s, err := dbstore.New(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := s.Put(t.Context(), fmt.Sprint("k", i), []byte("x"), 0, 1+time.Duration(i%2)*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), "without end", []byte("x"), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	table, err := d.Table(t.Context(), "issuer")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := table.Count(t.Context()); n != 26 || err != nil {
		t.Errorf("%d records are left, %v, want 26", n, err)
	}
	if _, err := dbstore.New(t.Context(), nil); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("New(nil) = %v", err)
	}
}

func ExampleNew() {
	database, err := db.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer database.Close()
	state, err := dbstore.New(context.Background(), database)
	if err != nil {
		fmt.Println(err)
		return
	}
	is, err := issuer.New(issuer.WithStore(state))
	fmt.Println(is.URL(), err)
	// Output: http://127.0.0.1 <nil>
}
