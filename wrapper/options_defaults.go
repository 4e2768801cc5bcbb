package wrapper

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

func newOptions(opts []Option) (*options, error) {
	o := &options{accessLevel: slog.LevelDebug, slow: time.Second, services: plainHost, drain: -1}
	if err := fronts.Apply(o, opts); err != nil {
		return nil, fault.Wrap("wrapper", "new", "", fault.Mark(ErrInvalid, err))
	}
	if o.name == "" {
		return nil, fault.New(ErrInvalid, "wrapper", "new", "", "no name: use WithName")
	}
	if o.drain < 0 {
		o.drain = 0
		if len(o.registrations) > 0 {
			o.drain = time.Second
		}
	}
	o.retry, o.faults = o.retry.withDefaults(), newFaults(o)
	return o, nil
}

// plainHost takes every host that can't be a name of the internet.
func plainHost(r *http.Request) (string, bool) {
	h := r.URL.Host
	for i := range len(h) {
		if h[i] == '.' || h[i] == ':' {
			return "", false
		}
	}
	return h, h != "" && h != "localhost"
}
