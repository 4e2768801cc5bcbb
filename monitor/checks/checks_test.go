package checks_test

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/monitor/checks"
	_ "modernc.org/sqlite"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestChecks(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	open := func() *sql.DB {
		db, err := sql.Open("sqlite", ":memory:")
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db, closed := open(), open()
	defer db.Close()
	closed.Close()
	store, err1 := kv.New()
	gone, err2 := kv.New()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	gone.Close()
	for name, c := range map[string]struct {
		f    checks.Func
		good bool
	}{
		"TCP":                      {checks.TCP(srv.Listener.Addr().String()), true},
		"TCP, nobody listens":      {checks.TCP(nobody), false},
		"HTTP":                     {checks.HTTP(srv.URL, client), true},
		"HTTP, redirected":         {checks.HTTP(srv.URL+"/moved", client), true},
		"HTTP, 500":                {checks.HTTP(srv.URL+"/broken", client), false},
		"HTTP, no answer":          {checks.HTTP(srv.URL+"/slow", client), false},
		"HTTP, bad URL":            {checks.HTTP("::", client), false},
		"DNS":                      {checks.DNS("localhost"), true},
		"DNS, no such name":        {checks.DNS("no such name"), false},
		"SQL":                      {checks.SQL(db), true},
		"SQL, closed":              {checks.SQL(closed), false},
		"SQL, nil":                 {checks.SQL(nil), false},
		"KV":                       {checks.KV(store, "no such key"), true},
		"KV, closed":               {checks.KV(gone, "no such key"), false},
		"KV, nil":                  {checks.KV(nil, "no such key"), false},
		"Goroutines":               {checks.Goroutines(100_000), true},
		"Goroutines, one too many": {checks.Goroutines(0), false},
		"Memory":                   {checks.Memory(math.MaxUint64), true},
		"Memory, too much":         {checks.Memory(1000), false},
		"Disk":                     {checks.Disk(t.TempDir(), 1), true},
		"Disk, too little":         {checks.Disk(t.TempDir(), math.MaxUint64), false},
		"Disk, no such path":       {checks.Disk("/no/such/path", 1), false},
	} {
		within := time.Minute
		if name == "HTTP, no answer" {
			within = 100 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		if err := c.f(ctx); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
