package trace_test

import (
	"context"
	"errors"
	"testing"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/baggage"
)

func TestNamedBaggageIsOnEverySpan(t *testing.T) {
	for name, c := range map[string]struct {
		opts   []trace.Option
		fail   error
		tenant string
	}{
		"named":     {[]trace.Option{trace.WithBaggage("tenant", "nobody")}, nil, "acme"},
		"kept":      {[]trace.Option{trace.WithBaggage("tenant"), trace.WithSampler(trace.Never()), trace.WithKeep(10, trace.Failed)}, errors.New("x"), "acme"},
		"not named": {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr, store := newTracer(t, c.opts...)
			ctx, err := baggage.Set(t.Context(), "tenant", "acme")
			if err != nil {
				t.Fatal(err)
			}
			ctx, err = baggage.Set(ctx, "secret", "s")
			if err != nil {
				t.Fatal(err)
			}
			ctx, outer := tr.Start(ctx, "outer")
			_, inner := tr.Start(ctx, "inner")
			inner.Error(c.fail)
			inner.End()
			outer.Error(c.fail)
			outer.End()
			if err := tr.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			page, err := store.Search(t.Context(), trace.Query{})
			if err != nil || len(page.Traces) != 1 || len(page.Traces[0].Spans) != 2 {
				t.Fatalf("%+v, %v", page, err)
			}
			for _, s := range page.Traces[0].Spans {
				tags := map[string]string{}
				for _, tag := range s.Tags {
					tags[tag.Key] = tag.Value.String()
				}
				_, secret := tags["secret"]
				_, nobody := tags["nobody"]
				if tags["tenant"] != c.tenant || secret || nobody {
					t.Errorf("%s has %v, want tenant %q alone", s.Name, tags, c.tenant)
				}
			}
		})
	}
}

func TestMessagesCarryBaggage(t *testing.T) {
	tr, _ := newTracer(t)
	ctx, err := baggage.Set(t.Context(), "tenant", "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ctx  context.Context
		want string
	}{{ctx, "acme"}, {t.Context(), ""}} {
		m := trace.Map{}
		_, p := trace.StartPublish(c.ctx, tr, "orders", m)
		p.End()
		got, s := trace.StartConsume(t.Context(), tr, "orders", m)
		s.End()
		if v := baggage.FromContext(got).Value("tenant"); v != c.want {
			t.Errorf("%v brought tenant %q, want %q", m, v, c.want)
		}
	}
}
