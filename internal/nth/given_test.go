package nth_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/changes"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/cache"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/checks"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

func last[T any](_ T, err error) error { return err }

// An interface that holds a nil pointer or a nil function is no part to work with. Who
// gives one hears of it at once, as of a nil, and not by a panic under load.
func TestANilPointerIsNotGiven(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"auth.WithDecider":      {last(auth.New(auth.Local(nil), auth.WithDecider((*struct{ auth.Decider })(nil)))), auth.ErrInvalid},
		"auth.WithDecider func": {last(auth.New(auth.WithDecider(auth.DeciderFunc(nil)))), auth.ErrInvalid},
		"auth.WithRevocations":  {last(auth.New(auth.WithRevocations((*struct{ auth.RevocationFeed })(nil)))), auth.ErrInvalid},
		"issuer.WithStore":      {last(issuer.New(issuer.WithStore((*struct{ issuer.Store })(nil)))), auth.ErrInvalid},
		"config.WithResolver":   {last(config.New(config.WithResolver("x", config.ResolverFunc(nil)))), config.ErrInvalid},
		"db.NewCollection":      {last(db.NewCollection[string]((*struct{ db.Table })(nil))), db.ErrInvalid},
		"changes.ToOutbox":      {last(db.New(changes.ToOutbox((*struct{ changes.Outbox })(nil)))), db.ErrInvalid},
		"changes.ToStream":      {last(db.New(changes.ToStream((*struct{ event.Stream })(nil)))), db.ErrInvalid},
		"cache.New":             {last(cache.New((*struct{ kv.KV })(nil))), kv.ErrInvalid},
		"log.ToStdout":          {last(log.New(log.ToStdout((*struct{ log.Encoding })(nil)))), log.ErrInvalid},
		"log.ToFile":            {last(log.New(log.ToFile(t.TempDir()+"/x", log.FileEncoding((*struct{ log.Encoding })(nil))))), log.ErrInvalid},
		"checks.KV":             {checks.KV((*struct{ kv.KV })(nil), "k")(t.Context()), nil},
		"page.New":              {last(page.New((*struct{ monitor.Monitor })(nil))), nil},
		"router.WithDiscovery":  {last(router.New(router.WithDiscovery((*struct{ discovery.Discovery })(nil)))), router.ErrInvalid},
		"router.WithRuleSource": {last(router.New(router.WithRuleSource((*struct{ router.RuleSource })(nil)))), router.ErrInvalid},
		"router.WithStrategy":   {last(router.New(router.WithStrategy((*struct{ router.Strategy })(nil)))), router.ErrInvalid},
		"router.WithSharing":    {last(router.New(router.WithSharing((*struct{ router.Exchange })(nil), router.Sharing{}))), router.ErrInvalid},
		"router.Aggregate":      {router.Aggregate(t.Context(), (*struct{ router.Exchange })(nil), router.Aggregation{}), router.ErrInvalid},
		"limits.Named":          {last(limits.Named("x", (*struct{ limits.Limiter })(nil))), router.ErrInvalid},
		"limits.Waiting":        {last(limits.Waiting((*struct{ limits.Limiter })(nil))), router.ErrInvalid},
		"trace.WithSampler":     {last(trace.New(trace.WithSampler(trace.SamplerFunc(nil)))), trace.ErrInvalid},
		"trace.ParentOr":        {last(trace.New(trace.WithSampler(trace.ParentOr((*struct{ trace.Sampler })(nil))))), trace.ErrInvalid},
		"trace.WithInject":      {last(trace.New(trace.WithInject((*struct{ trace.Propagator })(nil)))), trace.ErrInvalid},
		"wrapper.WithAuth":      {last(wrapper.New(wrapper.WithName("s"), wrapper.WithAuth((*struct{ auth.Auth })(nil)))), wrapper.ErrInvalid},
		"wrapper.WithGate":      {last(wrapper.New(wrapper.WithName("s"), wrapper.WithGate((*struct{ wrapper.Gate })(nil)))), wrapper.ErrInvalid},
		"wrapper.WithLimit":     {last(wrapper.New(wrapper.WithName("s"), wrapper.WithLimit((*struct{ limits.Limiter })(nil)))), wrapper.ErrInvalid},
		"wrapper.WithObserver":  {last(wrapper.New(wrapper.WithName("s"), wrapper.WithObserver((*struct{ wrapper.Observer })(nil)))), wrapper.ErrInvalid},
		"wrapper.WithKey":       {last(wrapper.New(wrapper.WithName("s"), wrapper.WithKey(nil))), wrapper.ErrInvalid},
	} {
		if c.err == nil || c.want != nil && !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want an error that is %v", name, c.err, c.want)
		}
	}
}

// A map, a slice or a value without fields that implements an interface is not nil.
func TestWhatIsNoPointerIsGiven(t *testing.T) {
	for name, s := range map[string]trace.Sampler{
		"a nil map": mapSampler(nil), "a nil slice": sliceSampler(nil), "a value": trace.Never(),
		"a function": trace.SamplerFunc(func(trace.Params) bool { return false }),
	} {
		tr, err := trace.New(trace.WithSampler(s), trace.Memory(trace.NewStore(1, 0)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, span := tr.Start(t.Context(), "x")
		span.End()
		if err := tr.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h, err := wrapper.New(wrapper.WithName("s"), wrapper.WithKey(func(context.Context) string { return "" })); err != nil || h.Handler(http.NotFoundHandler()) == nil {
		t.Error(err)
	}
}

type (
	mapSampler   map[string]bool
	sliceSampler []string
)

func (m mapSampler) Sample(p trace.Params) bool { return m[p.Name] }
func (s sliceSampler) Sample(trace.Params) bool { return len(s) > 0 }
