package docs_test

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/jwt"
	"github.com/micro/go-platform/auth/mtls"
	"github.com/micro/go-platform/auth/oauth2"
	"github.com/micro/go-platform/auth/static"
	"github.com/micro/go-platform/config"
	configconsul "github.com/micro/go-platform/config/consul"
	configetcd "github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/config/file"
	configkubernetes "github.com/micro/go-platform/config/kubernetes"
	configkv "github.com/micro/go-platform/config/kv"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/config/url"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/elastic"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/dns"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoverykubernetes "github.com/micro/go-platform/discovery/kubernetes"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/discovery/relay"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	discoverystatic "github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	eventnats "github.com/micro/go-platform/event/nats"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/kv/memcached"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/kv/ring"
	kvsql "github.com/micro/go-platform/kv/sql"
	dsync "github.com/micro/go-platform/sync"
	syncconsul "github.com/micro/go-platform/sync/consul"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	synckubernetes "github.com/micro/go-platform/sync/kubernetes"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/trace/zipkin"
)

var update = flag.Bool("update", false, "write features.md")

// nobody is an address at which no server is.
const nobody = "127.0.0.1:1"

// column is a backend with what it says of itself: a Features, or what a row
// of the same table shows.
type column struct {
	name     string
	features any
}

// TestFeaturesTable holds features.md to what the backends declare. None of
// their servers is asked.
//
//	go test ./docs -run FeaturesTable -update
func TestFeaturesTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What the backends can do\n\nGenerated from what each backend declares: `go test ./docs -run FeaturesTable -update`. What a backend lacks returns the package's `ErrUnsupported`, unless the row says what happens instead.\n")
	declared(t, &b, "kv", kvColumns(t))
	declared(t, &b, "sync", syncColumns(t))
	declared(t, &b, "db", dbColumns(t))
	declared(t, &b, "event", eventColumns(t))
	table(&b, "discovery", []string{"`Register`", "`Services`"}, discoveryColumns(t))
	table(&b, "config, sources", []string{"needs no polling; else polled each 30 s"}, configColumns(t))
	table(&b, "auth", []string{"`Token`: gives the service tokens of its own, without more options"}, authColumns(t))
	table(&b, "trace", []string{"`Search`"}, traceColumns(t))
	b.WriteString("\nThe backends of log, metrics, monitor and router do the same each; their pages say how they differ.\n")

	const path = "features.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the backends say (%v): run go test ./docs -run FeaturesTable -update", path, err)
	}
}

// declared writes a table of a package's Features: a row for each field, which
// its comment explains.
func declared(t *testing.T, b *strings.Builder, name string, columns []column) {
	t.Helper()
	var fields []string
	what := comments(t, name)
	kind := reflect.TypeOf(columns[0].features)
	rows := make([]column, len(columns))
	for i, c := range columns {
		rows[i] = column{c.name, []string{}}
	}
	for i := range kind.NumField() {
		f := kind.Field(i)
		if f.Name == "Backend" {
			continue
		}
		label := "`" + f.Name + "`"
		if what[f.Name] != "" {
			label += ": " + what[f.Name]
		}
		fields = append(fields, label)
		for j, c := range columns {
			rows[j].features = append(rows[j].features.([]string), show(f.Name, reflect.ValueOf(c.features).Field(i).Interface()))
		}
	}
	table(b, name, fields, rows)
}

// table writes a table whose columns hold a cell for each row.
func table(b *strings.Builder, title string, rows []string, columns []column) {
	fmt.Fprintf(b, "\n## %s\n\n| |", title)
	for _, c := range columns {
		b.WriteString(" " + c.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for i, row := range rows {
		b.WriteString("| " + row + " |")
		for _, c := range columns {
			b.WriteString(" " + c.features.([]string)[i] + " |")
		}
		b.WriteString("\n")
	}
}

func show(name string, v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "✔"
		}
	case time.Duration:
		if v > 0 {
			return v.Round(time.Millisecond).String()
		}
	case int:
		switch {
		case v >= 1<<20 && v%(1<<20) == 0:
			return fmt.Sprint(v>>20, " MiB")
		case v > 0:
			return fmt.Sprint(v>>10, " KiB")
		}
	default:
		panic(fmt.Sprintf("%s is a %T", name, v))
	}
	return "–"
}

// comments returns what stands behind the fields of a package's Features.
func comments(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	files, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != "Features" {
				return true
			}
			for _, f := range spec.Type.(*ast.StructType).Fields.List {
				for _, name := range f.Names {
					found[name.Name] = strings.TrimSpace(strings.ReplaceAll(f.Comment.Text(), "\n", " "))
				}
			}
			return false
		})
	}
	return found
}

// supported is the cell of a call: what is refused is refused before any I/O.
func supported(err, unsupported error) string { return show("", !errors.Is(err, unsupported)) }

func kvColumns(t *testing.T) (out []column) {
	d, err := discovery.New()
	check(err)
	node, err := ring.New(d, "docs", "docs-1", ring.WithKey([]byte("0123456789abcdef0123456789abcdef")))
	check(err)
	defer func() { check(node.Close(), d.Close()) }()
	for _, c := range []struct {
		name string
		opt  kv.Option
	}{
		{"memory", kv.Memory()}, {"ring", ring.Backend(node)}, {"redis", kvredis.Backend(nobody)}, {"redis sentinels", kvredis.Backend("redis+sentinel://" + nobody + "/mymaster")},
		{"redis cluster", kvredis.Backend("127.0.0.1:1,127.0.0.1:2")}, {"memcached", memcached.Backend(nobody)}, {"several memcached", memcached.Backend("127.0.0.1:1,127.0.0.1:2")},
		{"etcd", kvetcd.Backend(nobody)}, {"consul", kvconsul.Backend(nobody)}, {"NATS JetStream", kvnats.Backend(nobody)},
		{"SQLite", kvsql.SQLite(t.TempDir() + "/docs.db")}, {"PostgreSQL", kvsql.Postgres("postgres://" + nobody + "/docs")}, {"MySQL", kvsql.MySQL("mysql://" + nobody + "/docs")},
	} {
		s, err := kv.New(c.opt, kv.WithLazy())
		check(err)
		out = append(out, column{c.name, s.Features()})
		check(s.Close())
	}
	return out
}

func syncColumns(t *testing.T) (out []column) {
	for _, c := range []struct {
		name string
		opt  dsync.Option
	}{
		{"memory", dsync.Memory(dsync.NewLocks())}, {"etcd", syncetcd.Backend(nobody)}, {"consul", syncconsul.Backend(nobody)}, {"redis", syncredis.Backend(nobody)}, {"Kubernetes", synckubernetes.Backend(nobody)},
		{"SQLite", syncsql.SQLite(t.TempDir() + "/docs.db")}, {"PostgreSQL", syncsql.Postgres("postgres://" + nobody + "/docs")}, {"MySQL", syncsql.MySQL("mysql://" + nobody + "/docs")},
		{"redis quorum", syncredis.Quorum("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")},
	} {
		s, err := dsync.New(c.opt, dsync.WithLazy())
		check(err)
		out = append(out, column{c.name, s.Features()})
		check(s.Close())
	}
	return out
}

func dbColumns(t *testing.T) (out []column) {
	for _, c := range []struct {
		name string
		opt  db.Option
	}{
		{"memory", db.Memory()}, {"SQLite", dbsql.SQLite(t.TempDir() + "/docs.db")}, {"PostgreSQL", dbsql.Postgres("postgres://" + nobody + "/docs")}, {"MySQL", dbsql.MySQL("mysql://" + nobody + "/docs")},
		{"Cassandra", cassandra.Backend(nobody, cassandra.WithKeyspace("docs"))}, {"Elasticsearch", elastic.Backend("http://" + nobody)},
	} {
		d, err := db.New(c.opt, db.WithLazy())
		check(err)
		out = append(out, column{c.name, d.Features()})
		check(d.Close())
	}
	return out
}

func eventColumns(t *testing.T) (out []column) {
	for _, c := range []struct {
		name string
		opt  event.Option
	}{
		{"memory", event.Memory()}, {"memory with a journal", event.Journal(t.TempDir())}, {"redis", eventredis.Backend(nobody)}, {"NATS JetStream", eventnats.Backend(nobody)}, {"kafka", eventkafka.Backend(nobody)}, {"rabbitmq", eventrabbitmq.Backend(nobody)},
		{"SQLite", eventsql.SQLite(t.TempDir() + "/docs.db")}, {"PostgreSQL", eventsql.Postgres("postgres://" + nobody + "/docs")}, {"MySQL", eventsql.MySQL("mysql://" + nobody + "/docs")},
	} {
		s, err := event.New(c.opt, event.WithLazy())
		check(err)
		out = append(out, column{c.name, s.Features()})
		check(s.Close(context.Background()))
	}
	return out
}

func discoveryColumns(t *testing.T) (out []column) {
	for _, c := range []struct {
		name string
		opt  discovery.Option
	}{
		{"memory", discovery.Memory(discovery.NewRegistry())}, {"consul", discoveryconsul.Backend(nobody)}, {"etcd", discoveryetcd.Backend(nobody)}, {"redis", discoveryredis.Backend(nobody)},
		{"SQLite", discoverysql.SQLite(t.TempDir() + "/docs.db")}, {"PostgreSQL", discoverysql.Postgres("postgres://" + nobody + "/docs")}, {"MySQL", discoverysql.MySQL("mysql://" + nobody + "/docs")},
		{"Kubernetes", discoverykubernetes.Backend("https://" + nobody)}, {"Kubernetes, `WithRegistration`", discoverykubernetes.Backend("https://"+nobody, discoverykubernetes.WithRegistration())},
		{"relay", relay.Backend("http://" + nobody)}, {"static", discoverystatic.Backend(discovery.Instance{Service: "docs", ID: "docs-1", Address: nobody})}, {"DNS", dns.Backend("docs.invalid", dns.WithServer(nobody))},
	} {
		d, err := discovery.New(c.opt, discovery.WithLazy())
		check(err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err1 := d.Register(ctx, discovery.Instance{Service: "docs", ID: "docs-1", Address: nobody})
		_, err2 := d.Services(ctx)
		cancel()
		out = append(out, column{c.name, []string{supported(err1, discovery.ErrUnsupported), supported(err2, discovery.ErrUnsupported)}})
		d.Close() // may say that nothing could be deregistered
	}
	return out
}

func configColumns(*testing.T) (out []column) {
	shared, err := kv.New()
	check(err)
	documents, err := store.New()
	check(err)
	defer func() { check(documents.Close(), shared.Close()) }()
	for _, c := range []struct {
		name   string
		source config.Source
	}{
		{"memory", config.Memory("docs", nil)}, {"env", config.Env("DOCS")}, {"flag", config.Flags(flag.NewFlagSet("", flag.ContinueOnError))}, {"file", file.Source("docs.json")}, {"url", url.Source("http://" + nobody)},
		{"consul", configconsul.Source(nobody, "docs")}, {"etcd", configetcd.Source(nobody, "docs")}, {"Kubernetes", configkubernetes.Source(nobody, "configmap/docs")}, {"kv, where it can watch", configkv.Source(shared, "docs")}, {"store", documents.Source("docs")},
	} {
		_, watches := c.source.(config.Watcher)
		out = append(out, column{c.name, []string{show("", watches)}})
	}
	return out
}

func authColumns(t *testing.T) (out []column) {
	for _, c := range []struct {
		name string
		opt  auth.Option
	}{
		{"local", auth.Local(auth.NewAuthority())}, {"oauth2", oauth2.Backend("http://"+nobody, oauth2.WithInsecure(), oauth2.WithCredentials("docs", "secret"))},
		{"jwt", jwt.Backend(jwt.Issuer{Name: "docs", Keys: jwt.JWKSURL("http://"+nobody, nil)})}, {"mtls", mtls.Backend(x509.NewCertPool())}, {"static", static.Backend(static.Caller{Token: "0123456789abcdef", Subject: "docs"})},
	} {
		a, err := auth.New(c.opt, auth.WithLazy(), auth.WithService("docs"), auth.WithAnyAudience())
		check(err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err = a.Token(ctx)
		cancel()
		out = append(out, column{c.name, []string{supported(err, auth.ErrUnsupported)}})
		check(a.Close())
	}
	return out
}

func traceColumns(t *testing.T) (out []column) {
	for _, c := range []struct {
		name string
		opt  trace.Option
	}{
		{"memory", trace.Memory(trace.NewStore(10, time.Hour))}, {"zipkin", zipkin.Backend("http://" + nobody)}, {"OTLP", otlp.Backend("http://" + nobody)},
	} {
		tr, err := trace.New(c.opt, trace.WithLazy())
		check(err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err = tr.Search(ctx, trace.Query{})
		cancel()
		out = append(out, column{c.name, []string{supported(err, trace.ErrUnsupported)}})
		check(tr.Close(t.Context()))
	}
	return out
}
