package page

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Bounds of what the page's readers may set.
const (
	mostRules   = 1000
	longestName = 200
)

func (p *Page) levels(*http.Request) (any, error) {
	out := map[string]string{}
	for name, l := range p.o.log.Levels() {
		out[name] = l.String()
	}
	return out, nil
}

func (p *Page) setLevel(r *http.Request) (any, error) {
	v := r.URL.Query()
	var level slog.Level
	if err := level.UnmarshalText([]byte(v.Get("level"))); err != nil {
		return nil, &badRequest{err}
	}
	var revert time.Duration
	if s := v.Get("for"); s != "" {
		var err error
		revert, err = time.ParseDuration(s)
		if err != nil || revert < 0 {
			return nil, &badRequest{fmt.Errorf("duration %q", s)}
		}
	}
	name := v.Get("name")
	if len(name) > longestName {
		return nil, &badRequest{fmt.Errorf("a name of %d bytes, want at most %d", len(name), longestName)}
	}
	p.setting.Lock()
	defer p.setting.Unlock()
	all := p.o.log.Levels()
	if _, there := all[name]; !there && len(all) >= mostRules {
		return nil, fault.Markf(errTaken, "%d loggers have a level already", len(all))
	}
	p.o.log.SetLevel(name, level, revert)
	return p.levels(r)
}
