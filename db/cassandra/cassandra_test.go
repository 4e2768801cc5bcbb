package cassandra_test

import (
	"strings"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/dbtest"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestCassandra shows everything on one server, which takes long to start. The
// last case of the suite stops it.
func TestCassandra(t *testing.T) {
	server := servertest.Cassandra(t, servertest.WithPassword())
	for _, c := range []struct {
		name string
		run  func(t *testing.T, server *servertest.Server)
	}{
		{"NamesAndValuesInjectNothing", injectNothing},
		{"SearchesAgreeWithMemory", agree},
		{"RecordsThatAreUpdatedStayFound", stayFound},
		{"EntriesWithoutRecordsDoNoHarm", strays},
		{"SearchesAreBounded", bounded},
		{"BucketsAreTheTables", buckets},
		{"PoolBoundsConnections", pool},
		{"ClientOfTheCallerStaysOpen", client},
		{"LostAnswersAreLookedUp", lostAnswers},
		{"LostDecisionsAreMadeAgain", lostDecisions},
		{"TooFewCopiesAreUnavailable", tooFewCopies},
		{"TooLargeForTheServerIsSaid", tooLargeForServer},
		{"KeyspaceMustBeThere", keyspaceMissing},
		{"LaterSchemaIsRefused", laterSchema},
		{"DriverIsSilent", silent},
		{"CloseWhileItReconnects", closeWhileItReconnects},
		{"Encrypted", encrypted},
		{"NodesFromDiscovery", fromDiscovery},
		{"RightsAreTheUsers", rights},
	} {
		t.Run(c.name, func(t *testing.T) { leak.Check(t); c.run(t, server) })
	}
	shared := session(t, server.Addr())
	dbtest.Run(t, dbtest.Harness{
		Open: func(t testing.TB, opts ...db.Option) db.DB {
			t.Helper()
			b := cassandra.WithClient(shared, cassandra.WithCreate(1), cassandra.WithBuckets(2))
			if strings.Contains(t.Name(), "Close") || strings.Contains(t.Name(), "Reopened") || strings.Contains(t.Name(), "Restart") {
				b = backend(server) // a session of its own, which takes its time to end
			}
			d, err := db.New(append(patient(opts...), b)...)
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Restart: func(testing.TB) { shared.Close(); server.Stop(); server.Restart() },
	})
}

func backend(server *servertest.Server, opts ...cassandra.Option) db.Option {
	return cassandra.Backend(at(server.Addr()), append([]cassandra.Option{cassandra.WithCreate(1), cassandra.WithBuckets(2)}, opts...)...)
}

// at is an address with the superuser's name and password.
func at(addr string) string { return "cassandra://cassandra:cassandra@" + addr }

// login is the same for a session past the package.
var login = gocql.PasswordAuthenticator{Username: "cassandra", Password: "cassandra"}

// patient are options for a machine that is busy with other things: the first
// tables of a cold server take seconds.
func patient(opts ...db.Option) []db.Option {
	return append([]db.Option{db.WithTimeout(time.Minute), db.WithDialTimeout(time.Minute)}, opts...)
}

// open opens a table in a namespace of its own, which it returns.
func open(t *testing.T, b db.Option, opts ...db.Option) (db.DB, db.Table, string) {
	t.Helper()
	ns := "t" + strings.ReplaceAll(db.NewID(), "-", "")[18:]
	d, tb := openIn(t, ns, b, opts...)
	return d, tb, ns
}

func openIn(t *testing.T, ns string, b db.Option, opts ...db.Option) (db.DB, db.Table) {
	t.Helper()
	d, err := db.New(append(patient(opts...), b, db.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	return d, tb
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// session is a look past the package.
func session(t *testing.T, addr string) *gocql.Session {
	t.Helper()
	c := gocql.NewCluster(addr)
	c.Authenticator, c.Consistency, c.SerialConsistency, c.Timeout, c.ConnectTimeout = login, gocql.LocalQuorum, gocql.LocalSerial, time.Minute, time.Minute
	s, err := c.CreateSession()
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// found returns the ids that a search finds, in order.
func found(t *testing.T, tb db.Table, opts ...db.SearchOption) []string {
	t.Helper()
	ids := []string{}
	for r, err := range tb.All(t.Context(), opts...) {
		must(t, err)
		ids = append(ids, r.ID)
	}
	return ids
}
