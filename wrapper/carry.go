package wrapper

import (
	"context"
	"errors"
	"slices"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/baggage"
)

// WithBaggage gives records that wrapper/event publishes these members of the
// baggage as metadata, under their names, for those who read records without
// this package. A member that isn't there adds nothing, and metadata of the name
// that a record has already stays. The whole baggage travels in any case.
// trace.WithBaggage and baggage.Attrs do the same for spans and logs.
func WithBaggage(names ...string) Option {
	return func(o *options) error {
		if slices.Contains(names, "") {
			return errors.New("WithBaggage with an empty name")
		}
		o.baggage = append(o.baggage, names...)
		return nil
	}
}

// Carry writes what travels with ctx, labels and baggage, into the header of a
// call or message that goes out. Begin reads the baggage of those that come in.
func (a Adapter) Carry(ctx context.Context, header trace.Carrier) {
	for k, v := range LabelsFromContext(ctx) {
		header.Set(LabelPrefix+k, v)
	}
	baggage.Inject(ctx, header)
}

// NamedBaggage returns the values of WithBaggage that ctx has, nil for none.
func (a Adapter) NamedBaggage(ctx context.Context) (out map[string]string) {
	if len(a.w.o.baggage) == 0 {
		return nil
	}
	b := baggage.FromContext(ctx)
	for _, name := range a.w.o.baggage {
		if m, ok := b.Get(name); ok {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = m.Value
		}
	}
	return out
}
