package cassandra_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
)

func TestOptionsAreChecked(t *testing.T) {
	at := func(opts ...cassandra.Option) db.Option { return cassandra.Backend("h", opts...) }
	long := "k" + strings.Repeat("_", 47)
	for _, c := range []struct {
		option db.Option
		want   string // in the error; "": it is accepted
	}{
		{cassandra.Backend("cassandra://u:s3cret@h:9043,g/d"), ""},
		{cassandra.Backend(""), "no address and no session"},
		{cassandra.Backend("mysql://u:s3cret@h/d"), `unknown scheme "mysql"`},
		{cassandra.Backend("cassandra://u:s3cret@h:x/d"), "malformed address"},
		{cassandra.Backend("cassandra://u:s3cret@h,g:0/d"), `port "0"`},
		{cassandra.Backend("cassandra://u:s3cret@h/d?x=y"), "has parameters, want none"},
		{cassandra.Backend("cassandra://u:s3cret@h/d/e"), `keyspace "d/e"`},
		{cassandra.Backend("cassandra://s3cret@h/d"), "without a password"},
		{cassandra.WithClient(nil), "no address and no session"},
		{at(nil), "option"},
		{at(cassandra.WithKeyspace(long)), ""},
		{at(cassandra.WithKeyspace(long + "_")), "up to 48"},
		{at(cassandra.WithKeyspace(`x" --`)), "want a letter"},
		{at(cassandra.WithKeyspace("")), "empty keyspace"},
		{at(cassandra.WithDatacenter("east")), ""},
		{at(cassandra.WithDatacenter("")), "empty datacenter"},
		{at(cassandra.WithCreate(1)), ""},
		{at(cassandra.WithCreate(0)), "0 copies"},
		{at(cassandra.WithCreate(1, "east", "")), `datacenters ["east" ""]`},
		{at(cassandra.WithAuth("u", "p")), ""},
		{at(cassandra.WithAuth("u", "")), "without a password"},
		{at(cassandra.WithTLS(&tls.Config{MinVersion: tls.VersionTLS13})), ""},
		{at(cassandra.WithTLS(nil)), "TLS"},
		{at(cassandra.WithConsistency(gocql.Quorum)), ""},
		{at(cassandra.WithConsistency(gocql.LocalQuorum)), ""},
		{at(cassandra.WithConsistency(gocql.One)), "consistency ONE"},
		{at(cassandra.WithTimeout(1)), ""},
		{at(cassandra.WithTimeout(0)), "timeout 0s"},
		{at(cassandra.WithBuckets(1)), ""},
		{at(cassandra.WithBuckets(64)), ""},
		{at(cassandra.WithBuckets(0)), "0 buckets"},
		{at(cassandra.WithBuckets(65)), "65 buckets"},
		{at(cassandra.WithScanLimit(1)), ""},
		{at(cassandra.WithScanLimit(0)), "scan limit 0"},
		{at(cassandra.WithLogger(slog.New(slog.DiscardHandler))), ""},
		{at(cassandra.WithLogger(nil)), "nil logger"},
	} {
		d, err := db.New(c.option, db.WithLazy())
		if c.want == "" {
			must(t, err)
			must(t, d.Close())
			continue
		}
		if !errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want ErrInvalid that says %q", err, c.want)
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
