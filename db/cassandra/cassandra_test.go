package cassandra_test

import (
	"cmp"
	"errors"
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

// TestCassandra shows everything on one server, which takes long to start.
func TestCassandra(t *testing.T) {
	everything(t, nodes{all: []*servertest.Server{servertest.Cassandra(t, servertest.WithPassword())}})
}

// nodes is what the tests run on: one node or three, of which each has a copy of every record.
type nodes struct {
	all   []*servertest.Server
	certs *servertest.Certs // nil: they don't speak TLS
}

// Addr is the address of the first.
func (n nodes) Addr() string { return n.all[0].Addr() }

// host is the first one's without its port.
func (n nodes) host() string {
	host, _, _ := strings.Cut(n.Addr(), ":")
	return host
}

func (n nodes) addrs() []string {
	var addrs []string
	for _, s := range n.all {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// at is the database at an address of one of the nodes, for a user, the superuser if there is none.
func (n nodes) at(user, addr string, opts ...cassandra.Option) db.Option {
	return cassandra.Backend("cassandra://"+cmp.Or(user, "cassandra:cassandra")+"@"+addr, n.with(opts...)...)
}

// with adds what connections need.
func (n nodes) with(opts ...cassandra.Option) []cassandra.Option {
	if n.certs == nil {
		return opts
	}
	return append([]cassandra.Option{cassandra.WithTLS(n.certs.Client)}, opts...)
}

// create makes a keyspace with a copy on each node.
func (n nodes) create() cassandra.Option { return cassandra.WithCreate(len(n.all)) }

func (n nodes) backend(opts ...cassandra.Option) db.Option {
	return n.at("", strings.Join(n.addrs(), ","), append([]cassandra.Option{n.create(), cassandra.WithBuckets(2)}, opts...)...)
}

// session is a look past the package.
func (n nodes) session(t *testing.T) *gocql.Session {
	t.Helper()
	c := n.config(n.addrs()...)
	c.Consistency, c.SerialConsistency = gocql.LocalQuorum, gocql.LocalSerial
	s, err := c.CreateSession()
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

func (n nodes) config(addrs ...string) *gocql.ClusterConfig {
	c := gocql.NewCluster(addrs...)
	c.Authenticator, c.Timeout, c.ConnectTimeout = login, time.Minute, time.Minute
	if n.certs != nil {
		c.SslOpts = &gocql.SslOptions{Config: n.certs.Client, EnableHostVerification: true}
	}
	return c
}

// login is the superuser's name and password.
var login = gocql.PasswordAuthenticator{Username: "cassandra", Password: "cassandra"}

// everything is all tests that need a server. The last case of the suite stops it.
func everything(t *testing.T, server nodes) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, server nodes)
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
	shared := server.session(t)
	dbtest.Run(t, dbtest.Harness{
		Open: func(t testing.TB, opts ...db.Option) db.DB {
			t.Helper()
			b := cassandra.WithClient(shared, server.create(), cassandra.WithBuckets(2))
			if strings.Contains(t.Name(), "Close") || strings.Contains(t.Name(), "Reopened") || strings.Contains(t.Name(), "Restart") {
				b = server.backend() // a session of its own, which takes its time to end
			}
			d, err := db.New(append(patient(opts...), b)...)
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Restart: func(testing.TB) { shared.Close(); server.all[0].Stop(); server.all[0].Restart() },
	})
}

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
	// A node that comes back takes its time to agree on new tables.
	for end := time.Now().Add(4 * time.Minute); errors.Is(err, db.ErrUnknownOutcome) && time.Now().Before(end); {
		tb, err = d.Table(t.Context(), "things")
	}
	must(t, err)
	return d, tb
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
