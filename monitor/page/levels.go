package page

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

func (p *Page) levels(*http.Request) (any, error) {
	if p.o.log == nil {
		return nil, missing("log")
	}
	out := map[string]string{}
	for name, l := range p.o.log.Levels() {
		out[name] = l.String()
	}
	return out, nil
}

func (p *Page) setLevel(r *http.Request) (any, error) {
	if p.o.log == nil {
		return nil, missing("log")
	}
	v := r.URL.Query()
	var level slog.Level
	if err := level.UnmarshalText([]byte(v.Get("level"))); err != nil {
		return nil, &badRequest{err}
	}
	var revert time.Duration
	if s := v.Get("for"); s != "" {
		var err error
		if revert, err = time.ParseDuration(s); err != nil || revert < 0 {
			return nil, &badRequest{fmt.Errorf("duration %q", s)}
		}
	}
	p.o.log.SetLevel(v.Get("name"), level, revert)
	return p.levels(r)
}
