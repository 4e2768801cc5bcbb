package cassandra_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
)

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]db.Option{
		"empty": cassandra.Backend(""), "no session": cassandra.WithClient(nil), "scheme": cassandra.Backend("mysql://u:s3cret@h/d"), "port": cassandra.Backend("cassandra://u:s3cret@h:x/d"),
		"second host": cassandra.Backend("cassandra://u:s3cret@h,g:0/d"), "parameters": cassandra.Backend("cassandra://u:s3cret@h/d?x=y"), "path": cassandra.Backend("cassandra://u:s3cret@h/d/e"),
		"keyspace": cassandra.Backend("h", cassandra.WithKeyspace(`x" --`)), "nil option": cassandra.Backend("h", nil), "copies": cassandra.Backend("h", cassandra.WithCreate(0)),
		"datacenter": cassandra.Backend("h", cassandra.WithCreate(1, "")), "tls": cassandra.Backend("h", cassandra.WithTLS(nil)), "consistency": cassandra.Backend("h", cassandra.WithConsistency(gocql.One)),
		"connections": cassandra.Backend("h", cassandra.WithMaxConns(0)), "timeouts": cassandra.Backend("h", cassandra.WithTimeouts(-1, 0)), "buckets": cassandra.Backend("h", cassandra.WithBuckets(65)),
		"scan": cassandra.Backend("h", cassandra.WithScanLimit(0)), "logger": cassandra.Backend("h", cassandra.WithLogger(nil)),
	} {
		if _, err := db.New(o, db.WithLazy()); !errors.Is(err, db.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestNobodyThereIsSaid(t *testing.T) {
	_, err := db.New(cassandra.Backend("cassandra://u:s3cret@127.0.0.1:1,127.0.0.1:2/shop"), db.WithDialTimeout(20*time.Second))
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1,127.0.0.1:2") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want ErrUnavailable with the addresses", err)
	}
	d, err := db.New(cassandra.Backend("127.0.0.1:1"), db.WithLazy())
	must(t, err)
	if _, err := d.Table(t.Context(), "things"); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("a table where nobody is: %v, want ErrUnavailable", err)
	}
	must(t, d.Close())
}
