package page

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/watch"
)

// ConfigValue is one value of api/config.
type ConfigValue struct {
	Path   string          `json:"path"`
	Value  json.RawMessage `json:"value"`
	Origin string          `json:"origin"`
}

// ConfigSource is one source of api/config.
type ConfigSource struct {
	Name     string    `json:"name"`
	Revision string    `json:"revision,omitempty"`
	LastGood time.Time `json:"lastGood,omitzero"`
	Problem  string    `json:"problem,omitempty"`
	Unused   bool      `json:"unused,omitempty"` // no running value is from it: it is absent, empty or overridden
}

// ConfigChange is one change of the running configuration.
type ConfigChange struct {
	Version uint64       `json:"version"`
	Time    time.Time    `json:"time"`
	Changes []Difference `json:"changes"` // none of the first
}

// Difference is a value before and after, secrets redacted.
type Difference struct {
	Path   string          `json:"path"`
	Old    json.RawMessage `json:"old,omitempty"` // absent if nothing was there
	New    json.RawMessage `json:"new,omitempty"` // absent if it was deleted
	Origin string          `json:"origin,omitempty"`
}

func (p *Page) configuration(*http.Request) (any, error) {
	s, h := p.o.config.Snapshot(), p.o.config.Health()
	out := struct {
		Version uint64         `json:"version"`
		Applied time.Time      `json:"applied"`
		OK      bool           `json:"ok"`
		Problem string         `json:"problem,omitempty"`
		Values  []ConfigValue  `json:"values"`
		Sources []ConfigSource `json:"sources"`
		Changes []ConfigChange `json:"changes"` // newest first
	}{Version: s.Version(), Applied: s.Applied(), OK: h.OK, Values: []ConfigValue{}, Sources: []ConfigSource{}, Changes: p.changes.all()}
	if err := h.Err(); err != nil {
		out.Problem = err.Error()
	}
	for _, src := range h.Sources {
		line := ConfigSource{Name: src.Name, Revision: src.Revision, LastGood: src.LastGood}
		if src.Err != nil {
			line.Problem = src.Err.Error()
		}
		out.Sources = append(out.Sources, line)
	}
	used := map[string]bool{}
	for path, v := range s.All() {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		origin := ""
		if o, ok := s.Origin(path); ok {
			origin = o.String()
			used[o.Source] = true
		}
		out.Values = append(out.Values, ConfigValue{path, b, origin})
	}
	for i := range out.Sources {
		out.Sources[i].Unused = !used[out.Sources[i].Name]
	}
	return out, nil
}

// differences makes changes fit to show.
func differences(all []config.Change) []Difference {
	out := []Difference{}
	show := func(v config.Value) json.RawMessage {
		if !v.Exists() {
			return nil
		}
		return json.RawMessage(v.Show())
	}
	for _, c := range all {
		d := Difference{Path: c.Path, Old: show(c.Old), New: show(c.New)}
		if o := c.New.Origin(); o.Source != "" {
			d.Origin = o.String()
		}
		out = append(out, d)
	}
	return out
}

const changesKept = 50

// changes are those of the running configuration since the page was made.
type changes struct {
	mu   sync.Mutex
	list []ConfigChange // newest last
}

func (c *changes) run(ctx context.Context, cfg config.Config, line *timeline) {
	watch.Again(ctx, func() { c.follow(ctx, cfg, line) }, nil)
}

func (c *changes) follow(ctx context.Context, cfg config.Config, line *timeline) {
	for change, err := range cfg.Watch(ctx, "") {
		if err != nil {
			return // closed
		}
		one := ConfigChange{Version: change.Version, Time: time.Now(), Changes: []Difference{}}
		if change.Old.Exists() {
			one.Changes = differences(config.Diff(change.Old, change.New))
			line.add(one.moment())
		}
		c.mu.Lock()
		c.list = append(c.list, one)
		c.list = c.list[max(0, len(c.list)-changesKept):]
		c.mu.Unlock()
	}
}

// moment is a change as the timeline has it.
func (c ConfigChange) moment() Moment {
	m := Moment{Time: c.Time, Kind: kindConfig, State: "unknown", Text: fmt.Sprintf("running configuration: version %d", c.Version)}
	for i, d := range c.Changes {
		switch {
		case i == 0:
			m.Text = "running configuration: " + d.says()
		case i < 3:
			m.Text += ", " + d.says()
		case i == 3:
			m.Text += fmt.Sprintf(" and %d more", len(c.Changes)-3)
		}
	}
	return m
}

func (d Difference) says() string {
	short := func(b json.RawMessage) string { return cut(string(b), 40) }
	switch {
	case d.Old == nil:
		return d.Path + " = " + short(d.New)
	case d.New == nil:
		return d.Path + " is gone"
	}
	return d.Path + " " + short(d.Old) + " → " + short(d.New)
}

func (c *changes) all() []ConfigChange {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := append([]ConfigChange{}, c.list...)
	slices.Reverse(out)
	return out
}
