package docs_test

import (
	"context"
	"errors"
	"go/ast"
	"regexp"
	"strings"
	"testing"
	"time"

	platform "github.com/micro/go-platform"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/oauth2"
	"github.com/micro/go-platform/config"
	configkv "github.com/micro/go-platform/config/kv"
	"github.com/micro/go-platform/config/store"
	storekv "github.com/micro/go-platform/config/store/kv"
	"github.com/micro/go-platform/db"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/engine"
	engineredis "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/event"
	eventredis "github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/kv"
	kvredis "github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/fluentd"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/monitor"
	monitorkv "github.com/micro/go-platform/monitor/kv"
	"github.com/micro/go-platform/otlp"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	dsync "github.com/micro/go-platform/sync"
	syncredis "github.com/micro/go-platform/sync/redis"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/baggage"
	traceotlp "github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/wrapper"
)

// sentinels are those of every package, by the names that users write.
var sentinels = map[string]error{
	"auth.ErrUnauthenticated": auth.ErrUnauthenticated, "auth.ErrDenied": auth.ErrDenied, "auth.ErrUnavailable": auth.ErrUnavailable,
	"auth.ErrInvalid": auth.ErrInvalid, "auth.ErrUnsupported": auth.ErrUnsupported, "auth.ErrClosed": auth.ErrClosed,
	"auth.ErrNoCredential": auth.ErrNoCredential, "auth.ErrExpired": auth.ErrExpired, "auth.ErrRevoked": auth.ErrRevoked,
	"auth.ErrAudience": auth.ErrAudience, "auth.ErrProof": auth.ErrProof, "auth.ErrBinding": auth.ErrBinding,
	"auth.ErrNonce": auth.ErrNonce, "auth.ErrPath": auth.ErrPath,
	"auth/issuer.ErrNotFound": issuer.ErrNotFound, "auth/issuer.ErrConflict": issuer.ErrConflict, "auth/issuer.ErrExists": issuer.ErrExists,
	"config.ErrNotFound": config.ErrNotFound, "config.ErrInvalid": config.ErrInvalid, "config.ErrTooLarge": config.ErrTooLarge,
	"config.ErrUnavailable": config.ErrUnavailable, "config.ErrDenied": config.ErrDenied, "config.ErrClosed": config.ErrClosed,
	"config/store.ErrNotFound": store.ErrNotFound, "config/store.ErrConflict": store.ErrConflict, "config/store.ErrInvalid": store.ErrInvalid,
	"config/store.ErrDenied": store.ErrDenied, "config/store.ErrTooLarge": store.ErrTooLarge, "config/store.ErrUnavailable": store.ErrUnavailable,
	"config/store.ErrUnknownOutcome": store.ErrUnknownOutcome, "config/store.ErrClosed": store.ErrClosed,
	"db.ErrNotFound": db.ErrNotFound, "db.ErrExists": db.ErrExists, "db.ErrConflict": db.ErrConflict, "db.ErrInvalid": db.ErrInvalid,
	"db.ErrTooLarge": db.ErrTooLarge, "db.ErrUnsupported": db.ErrUnsupported, "db.ErrUnavailable": db.ErrUnavailable,
	"db.ErrDenied": db.ErrDenied, "db.ErrUnknownOutcome": db.ErrUnknownOutcome, "db.ErrClosed": db.ErrClosed,
	"discovery.ErrInvalid": discovery.ErrInvalid, "discovery.ErrExists": discovery.ErrExists, "discovery.ErrNotFound": discovery.ErrNotFound,
	"discovery.ErrTooLarge": discovery.ErrTooLarge, "discovery.ErrUnavailable": discovery.ErrUnavailable, "discovery.ErrDenied": discovery.ErrDenied,
	"discovery.ErrUnknownOutcome": discovery.ErrUnknownOutcome, "discovery.ErrUnsupported": discovery.ErrUnsupported,
	"discovery.ErrClosed": discovery.ErrClosed, "discovery.ErrStale": discovery.ErrStale,
	"engine.ErrInvalid": engine.ErrInvalid, "engine.ErrUnavailable": engine.ErrUnavailable, "engine.ErrDenied": engine.ErrDenied, "engine.ErrClosed": engine.ErrClosed,
	"event.ErrInvalid": event.ErrInvalid, "event.ErrNotFound": event.ErrNotFound, "event.ErrConflict": event.ErrConflict,
	"event.ErrTooLarge": event.ErrTooLarge, "event.ErrUnsupported": event.ErrUnsupported, "event.ErrUnavailable": event.ErrUnavailable,
	"event.ErrDenied": event.ErrDenied, "event.ErrUnknownOutcome": event.ErrUnknownOutcome, "event.ErrClosed": event.ErrClosed, "event.ErrTimeout": event.ErrTimeout, "event.ErrLost": event.ErrLost,
	"kv.ErrNotFound": kv.ErrNotFound, "kv.ErrExists": kv.ErrExists, "kv.ErrConflict": kv.ErrConflict, "kv.ErrInvalid": kv.ErrInvalid,
	"kv.ErrUnsupported": kv.ErrUnsupported, "kv.ErrTooLarge": kv.ErrTooLarge, "kv.ErrUnavailable": kv.ErrUnavailable,
	"kv.ErrDenied": kv.ErrDenied, "kv.ErrUnknownOutcome": kv.ErrUnknownOutcome, "kv.ErrClosed": kv.ErrClosed,
	"log.ErrInvalid": log.ErrInvalid, "log.ErrUnavailable": log.ErrUnavailable, "log.ErrDropped": log.ErrDropped, "log.ErrClosed": log.ErrClosed,
	"metrics.ErrInvalid": metrics.ErrInvalid, "metrics.ErrUnavailable": metrics.ErrUnavailable, "metrics.ErrClosed": metrics.ErrClosed,
	"monitor.ErrInvalid": monitor.ErrInvalid, "monitor.ErrExists": monitor.ErrExists, "monitor.ErrUnavailable": monitor.ErrUnavailable, "monitor.ErrClosed": monitor.ErrClosed,
	"otlp.ErrInvalid": otlp.ErrInvalid, "platform.ErrInvalid": platform.ErrInvalid,
	"router.ErrNoInstances": router.ErrNoInstances, "router.ErrExhausted": router.ErrExhausted, "router.ErrOpen": router.ErrOpen,
	"router.ErrLimited": router.ErrLimited, "router.ErrInvalid": router.ErrInvalid, "router.ErrUnavailable": router.ErrUnavailable, "router.ErrClosed": router.ErrClosed,
	"sync.ErrHeld": dsync.ErrHeld, "sync.ErrTimeout": dsync.ErrTimeout, "sync.ErrLost": dsync.ErrLost, "sync.ErrNoLeader": dsync.ErrNoLeader,
	"sync.ErrConflict": dsync.ErrConflict, "sync.ErrInvalid": dsync.ErrInvalid, "sync.ErrUnsupported": dsync.ErrUnsupported,
	"sync.ErrUnavailable": dsync.ErrUnavailable, "sync.ErrDenied": dsync.ErrDenied, "sync.ErrUnknownOutcome": dsync.ErrUnknownOutcome, "sync.ErrClosed": dsync.ErrClosed,
	"trace.ErrInvalid": trace.ErrInvalid, "trace.ErrUnavailable": trace.ErrUnavailable, "trace.ErrUnsupported": trace.ErrUnsupported,
	"trace.ErrDropped": trace.ErrDropped, "trace.ErrClosed": trace.ErrClosed,
	"trace/baggage.ErrInvalid": baggage.ErrInvalid, "wrapper.ErrInvalid": wrapper.ErrInvalid,
}

// coarser is what a sentinel holds for besides itself.
var coarser = map[string][]string{
	"auth.ErrNoCredential": {"auth.ErrUnauthenticated"}, "auth.ErrExpired": {"auth.ErrUnauthenticated"}, "auth.ErrRevoked": {"auth.ErrUnauthenticated"},
	"auth.ErrAudience": {"auth.ErrUnauthenticated"}, "auth.ErrProof": {"auth.ErrUnauthenticated"}, "auth.ErrBinding": {"auth.ErrUnauthenticated"},
	"auth.ErrNonce": {"auth.ErrProof", "auth.ErrUnauthenticated"}, "auth.ErrPath": {"auth.ErrInvalid"},
	"router.ErrNoInstances": {"router.ErrUnavailable"}, "router.ErrExhausted": {"router.ErrUnavailable"}, "router.ErrOpen": {"router.ErrUnavailable"},
}

// nowhere is where no server answers.
const nowhere = "127.0.0.1:1"

// TestErrorsAreOfTheirOwnPackage makes errors as a program meets them and holds
// each against the sentinels of every package.
func TestErrorsAreOfTheirOwnPackage(t *testing.T) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	failed := func(_ any, err error) error { return err }

	items, err := kv.New()
	must(err)
	defer items.Close()
	must(failed(items.Put(ctx, "there", []byte("1"))))
	records, err := db.New()
	must(err)
	defer records.Close()
	table, err := records.Table(ctx, "t")
	must(err)
	must(table.Create(ctx, &db.Record{ID: "there"}))
	stream, err := event.New()
	must(err)
	defer stream.Close(context.Background())
	registry, err := discovery.New()
	must(err)
	defer registry.Close()
	locks, err := dsync.New()
	must(err)
	defer locks.Close()
	lock, err := locks.TryLock(ctx, "there")
	must(err)
	defer lock.Unlock(context.Background())
	checks, err := monitor.New()
	must(err)
	defer checks.Close(context.Background())
	check := monitor.Check{Name: "there", Func: func(context.Context) error { return nil }}
	must(checks.Register(check))
	documents, err := store.New(storekv.Backend(items))
	must(err)
	defer documents.Close()
	routes, err := router.New(router.WithDiscovery(registry))
	must(err)
	defer routes.Close(context.Background())
	bucket, err := limits.TokenBucket(1, 1)
	must(err)
	must(failed(bucket.Acquire(ctx)))
	door, err := auth.New()
	must(err)
	defer door.Close()
	accounts, err := issuer.New(issuer.WithURL("http://127.0.0.1"))
	must(err)
	selected := func() error { // its time begins with it, not with the table
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		return failed(routes.Select(short, "missing"))
	}
	gone := engineredis.FromClient(nil)

	for name, c := range map[string]struct {
		err error
		is  []string
	}{
		"kv, no such key":           {failed(items.Get(ctx, "missing")), []string{"kv.ErrNotFound"}},
		"kv, a taken key":           {failed(items.Put(ctx, "there", nil, kv.IfAbsent())), []string{"kv.ErrExists"}},
		"kv, another revision":      {failed(items.Put(ctx, "there", nil, kv.IfRevision(99))), []string{"kv.ErrConflict"}},
		"kv, no key":                {failed(items.Get(ctx, "")), []string{"kv.ErrInvalid"}},
		"kv, nobody answers":        {failed(kv.New(kvredis.Backend(nowhere))), []string{"kv.ErrUnavailable"}},
		"kv, a bad engine":          {failed(kv.New(kvredis.On(gone))), []string{"kv.ErrInvalid"}},
		"db, no such record":        {failed(table.Read(ctx, "missing")), []string{"db.ErrNotFound"}},
		"db, a taken id":            {table.Create(ctx, &db.Record{ID: "there"}), []string{"db.ErrExists"}},
		"db, another version":       {table.Update(ctx, &db.Record{ID: "there", Version: 99}), []string{"db.ErrConflict"}},
		"db, a bad option":          {failed(db.New(nil)), []string{"db.ErrInvalid"}},
		"db, a bad address":         {failed(db.New(dbsql.SQLite(""))), []string{"db.ErrInvalid"}},
		"event, a bad record":       {stream.Publish(ctx, &event.Record{}), []string{"event.ErrInvalid"}},
		"event, no such group":      {stream.DeleteGroup(ctx, "missing"), []string{"event.ErrNotFound"}},
		"event, nobody answers":     {failed(event.New(eventredis.Backend(nowhere))), []string{"event.ErrUnavailable"}},
		"discovery, no service":     {failed(registry.Register(ctx, discovery.Instance{})), []string{"discovery.ErrInvalid"}},
		"discovery, nobody answers": {failed(discovery.New(discoveryredis.Backend(nowhere))), []string{"discovery.ErrUnavailable"}},
		"sync, a held lock":         {failed(locks.TryLock(ctx, "there")), []string{"sync.ErrHeld"}},
		"sync, too long a wait":     {failed(locks.Lock(ctx, "there", dsync.Wait(time.Millisecond))), []string{"sync.ErrTimeout"}},
		"sync, no id":               {failed(locks.TryLock(ctx, "")), []string{"sync.ErrInvalid"}},
		"sync, nobody answers":      {failed(dsync.New(syncredis.Backend(nowhere))), []string{"sync.ErrUnavailable"}},
		"monitor, a taken name":     {checks.Register(check), []string{"monitor.ErrExists"}},
		"monitor, no name":          {checks.Register(monitor.Check{}), []string{"monitor.ErrInvalid"}},
		"monitor over kv":           {failed(monitor.New(monitorkv.Backend(nil))), []string{"monitor.ErrInvalid"}},
		"store, no such document":   {failed(documents.Get(ctx, "missing")), []string{"config/store.ErrNotFound", "kv.ErrNotFound"}},
		"store, a bad option":       {failed(store.New(nil)), []string{"config/store.ErrInvalid"}},
		"config over kv":            {failed(config.New(config.WithSource(configkv.Source(items, "missing")))), []string{"config.ErrNotFound", "kv.ErrNotFound"}},
		"config, a bad option":      {failed(config.New(nil)), []string{"config.ErrInvalid"}},
		"router, no such service":   {selected(), []string{"router.ErrNoInstances", "router.ErrUnavailable"}},
		"router, over the limit":    {failed(bucket.Acquire(ctx)), []string{"router.ErrLimited"}},
		"router, a bad option":      {failed(router.New(nil)), []string{"router.ErrInvalid"}},
		"auth, no credential":       {failed(door.Authorized(ctx, auth.Request{})), []string{"auth.ErrNoCredential", "auth.ErrUnauthenticated"}},
		"auth, a bad token":         {failed(door.Verify(ctx, "x")), []string{"auth.ErrUnauthenticated"}},
		"auth, nobody answers":      {failed(auth.New(auth.WithAnyAudience(), oauth2.Backend("http://"+nowhere, oauth2.WithInsecure()))), []string{"auth.ErrUnavailable"}},
		"issuer, no such account":   {failed(accounts.Read(ctx, "missing")), []string{"auth/issuer.ErrNotFound"}},
		"trace, a bad option":       {failed(trace.New(nil)), []string{"trace.ErrInvalid"}},
		"trace, nobody answers":     {failed(trace.New(traceotlp.Backend("http://" + nowhere))), []string{"trace.ErrUnavailable"}},
		"metrics, nobody answers":   {failed(metrics.New(metricsotlp.Backend("http://" + nowhere))), []string{"metrics.ErrUnavailable"}},
		"metrics, a bad option":     {failed(metrics.New(nil)), []string{"metrics.ErrInvalid"}},
		"log, nobody answers":       {failed(log.New(fluentd.Backend(nowhere, "app"))), []string{"log.ErrUnavailable"}},
		"log, a bad option":         {failed(log.New(nil)), []string{"log.ErrInvalid"}},
		"baggage":                   {failed(baggage.Baggage{}.With(baggage.Member{})), []string{"trace/baggage.ErrInvalid"}},
		"wrapper, no name":          {failed(wrapper.New()), []string{"wrapper.ErrInvalid"}},
		"platform, no name":         {failed(platform.New("")), []string{"platform.ErrInvalid"}},
		"engine, a bad address":     {failed(engineredis.Open("ftp://x")), []string{"engine.ErrInvalid"}},
		"engine, none":              {gone.Ping(ctx), []string{"engine.ErrInvalid"}},
	} {
		held := map[string]bool{}
		for _, s := range c.is {
			held[s] = true
		}
		for s, value := range sentinels {
			if got := errors.Is(c.err, value); got != held[s] {
				t.Errorf("%s: errors.Is(%v, %s) is %v", name, c.err, s, got)
			}
		}
		if c.err != nil {
			onceEach(t, name, c.err.Error())
		}
	}
}

// TestSentinelsAreDistinct holds each sentinel against all others.
func TestSentinelsAreDistinct(t *testing.T) {
	for a, err := range sentinels {
		for b, target := range sentinels {
			want := a == b
			for _, c := range coarser[a] {
				want = want || b == c
			}
			if got := errors.Is(err, target); got != want {
				t.Errorf("errors.Is(%s, %s) is %v", a, b, got)
			}
		}
	}
}

// onceEach reports a kind that an error's text says twice.
func onceEach(t *testing.T, name, text string) {
	t.Helper()
	for s, value := range sentinels {
		part := regexp.MustCompile(`(^|[:;] )` + regexp.QuoteMeta(value.Error()) + `([:;]|$)`)
		if n := len(part.FindAllString(strings.ReplaceAll(text, ": ", ":  "), -1)); n > 1 {
			t.Errorf("%s: %s says %q %d times (%s)", name, text, value, n, s)
			return
		}
	}
}

// TestSentinelsAreNamedAndMadeAlike finds errors that packages export otherwise,
// and those that the table lacks.
func TestSentinelsAreNamedAndMadeAlike(t *testing.T) {
	found := 0
	packages(t, func(folder string, file *ast.File) {
		if folder == ".." {
			folder = "platform"
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok || len(v.Values) != len(v.Names) {
					continue
				}
				for i, name := range v.Names {
					call, ok := v.Values[i].(*ast.CallExpr)
					if !name.IsExported() || !ok || folder == "db" && name.Name == "ErrSerialization" { // which only drivers return
						continue
					}
					made := strings.HasPrefix(name.Name, "Err")
					if maker(call) == made && !made {
						continue
					}
					if made != maker(call) {
						t.Errorf("%s.%s: a sentinel is named ErrX and made by fault.Of or fault.Finer", folder, name.Name)
						continue
					}
					if found++; sentinels[folder+"."+name.Name] == nil {
						t.Errorf("%s.%s is not in the table", folder, name.Name)
					}
					if pkg, ok := call.Args[0].(*ast.BasicLit); ok && pkg.Value != `"`+folder+`"` {
						t.Errorf("%s.%s is made for package %s", folder, name.Name, pkg.Value)
					}
				}
			}
		}
	})
	if found != len(sentinels) {
		t.Errorf("found %d sentinels, the table has %d", found, len(sentinels))
	}
}

// maker reports whether a call makes a sentinel.
func maker(c *ast.CallExpr) bool {
	s, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	p, ok := s.X.(*ast.Ident)
	return ok && p.Name == "fault" && (s.Sel.Name == "Of" || s.Sel.Name == "Finer")
}
