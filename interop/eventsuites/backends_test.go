package eventsuites

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventnats "github.com/micro/go-platform/event/nats"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// Cases mostly wait, so many of them run side by side. Watermill's suite leaves
// goroutines of its own behind, so those of the process are not counted; each stream
// has to close in time.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "4")
	os.Exit(m.Run())
}

// opener opens a stream with a namespace of the test's own, again and again the same. A
// group that begins at the beginning would else be handed what all tests before it
// published, only to skip it.
type opener func(t testing.TB) event.Stream

// backends start a server, for each backend of event.
var backends = []struct {
	name  string
	start func(t *testing.T) event.Option
}{
	{"memory", nil},
	{"journal", nil},
	{"redis", func(t *testing.T) event.Option { return eventredis.Backend(servertest.SharedRedis(t).Addr()) }},
	{"nats", func(t *testing.T) event.Option { return eventnats.Backend(servertest.SharedNATS(t).Addr()) }},
	{"sqlite", func(t *testing.T) event.Option { return eventsql.SQLite(filepath.Join(t.TempDir(), "x.db")) }},
	{"postgres", func(t *testing.T) event.Option { return eventsql.Postgres(servertest.SharedPostgres(t).DSN()) }},
	{"mysql", func(t *testing.T) event.Option { return eventsql.MySQL(servertest.SharedMariaDB(t).DSN() + "mysql") }},
}

// onEveryBackend runs f on each, side by side.
func onEveryBackend(t *testing.T, f func(t *testing.T, open opener)) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if b.start != nil {
				backend := b.start(t)
				f(t, func(t testing.TB) event.Stream {
					name := sha256.Sum256([]byte(t.Name()))
					return opened(t, []event.Option{backend, event.WithNamespace(fmt.Sprintf("t%x", name[:8]))})
				})
				return
			}
			var opts []event.Option
			if b.name == "journal" {
				opts = append(opts, event.Journal(t.TempDir()))
			}
			s := opened(t, opts) // of this process: one for all
			f(t, func(testing.TB) event.Stream { return s })
		})
	}
}

func opened(t testing.TB, opts []event.Option) event.Stream {
	t.Helper()
	s, err := event.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}
