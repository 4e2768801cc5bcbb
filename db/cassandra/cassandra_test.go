package cassandra_test

import (
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/dbtest"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patient are options for a machine that is busy with other things: the first
// tables of a cold server take seconds.
func patient(opts ...db.Option) []db.Option {
	return append([]db.Option{db.WithTimeout(time.Minute), db.WithDialTimeout(time.Minute)}, opts...)
}

func TestCassandra(t *testing.T) {
	server := servertest.Cassandra(t)
	dbtest.Run(t, dbtest.Harness{
		Open: func(t testing.TB, opts ...db.Option) db.DB {
			t.Helper()
			d, err := db.New(append(patient(opts...), cassandra.Backend(server.Addr(), cassandra.WithCreate(1), cassandra.WithBuckets(3)))...)
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Restart: func(testing.TB) { server.Kill(); server.Restart() },
	})
}
