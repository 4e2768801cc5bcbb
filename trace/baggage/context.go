package baggage

import (
	"context"
	"log/slog"
	"slices"
)

// header is the name of the header.
const header = "Baggage"

// Carrier holds headers. Those of package trace fit: trace.Header(h) for HTTP,
// trace.Metadata(md) for gRPC, trace.Map(m) for the metadata of a message.
type Carrier interface {
	Values(key string) []string
	Set(key, value string)
}

type contextKey struct{}

// baggageContext carries baggage in one allocation.
type baggageContext struct {
	context.Context
	b Baggage
}

func (c *baggageContext) Value(key any) any {
	if key == (contextKey{}) {
		return &c.b
	}
	return c.Context.Value(key)
}

// ContextWith returns a context that carries b instead of the baggage of ctx.
// An empty b carries none.
func ContextWith(ctx context.Context, b Baggage) context.Context {
	return &baggageContext{ctx, b}
}

// FromContext returns the baggage of ctx, which is empty if there is none.
func FromContext(ctx context.Context) Baggage {
	b, _ := ctx.Value(contextKey{}).(*Baggage)
	if b == nil {
		return Baggage{}
	}
	return *b
}

// Set returns a context whose baggage has the named value beside what it had.
// An error says that the member can't be there; ctx is returned then.
func Set(ctx context.Context, name, value string) (context.Context, error) {
	b, err := FromContext(ctx).With(Member{Name: name, Value: value})
	if err != nil {
		return ctx, err
	}
	return ContextWith(ctx, b), nil
}

// Extract returns a context with the baggage of c. Members that are malformed
// or too many are dropped. Without a good one it returns ctx.
func Extract(ctx context.Context, c Carrier) context.Context {
	lines := c.Values(header)
	if len(lines) == 0 {
		return ctx
	}
	b, _ := Parse(lines...)
	if b.Len() == 0 {
		return ctx
	}
	return ContextWith(ctx, b)
}

// Inject writes the baggage of ctx into c, in place of what is there. Without
// baggage it writes nothing.
func Inject(ctx context.Context, c Carrier) {
	if b := FromContext(ctx); b.text != "" {
		c.Set(header, b.text)
	}
}

// Attrs returns a function that appends the named members of a context's
// baggage to attributes, under their names. It fits log.WithContext. Members
// that are not there add nothing.
func Attrs(names ...string) func(ctx context.Context, attrs []slog.Attr) []slog.Attr {
	names = slices.Clone(names)
	return func(ctx context.Context, attrs []slog.Attr) []slog.Attr {
		if ctx == nil {
			return attrs
		}
		b := FromContext(ctx)
		if b.Len() == 0 {
			return attrs
		}
		for _, name := range names {
			if m, ok := b.Get(name); ok {
				attrs = append(attrs, slog.String(name, m.Value))
			}
		}
		return attrs
	}
}
