package page

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/event"
)

// EventLine is one record of api/events.
type EventLine struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Source  string    `json:"source,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time"`
	Data    string    `json:"data,omitempty"` // at most 500 bytes
}

func (p *Page) events(r *http.Request) (any, error) {
	if p.o.events == nil {
		return nil, missing("stream")
	}
	n, err := limit(r, 100)
	if err != nil {
		return nil, err
	}
	opts := []event.QueryOption{event.Reverse(), event.Limit(n)}
	v := r.URL.Query()
	if s := v.Get("type"); s != "" {
		opts = append(opts, event.Types(s))
	}
	if s := v.Get("source"); s != "" {
		opts = append(opts, event.Source(s))
	}
	if s := v.Get("subject"); s != "" {
		opts = append(opts, event.Subject(s))
	}
	out := []EventLine{}
	for rec, err := range p.o.events.Query(r.Context(), opts...) {
		if err != nil {
			return nil, err
		}
		out = append(out, EventLine{rec.ID, rec.Type, rec.Source, rec.Subject, rec.Time, text(rec.Data)})
	}
	return out, nil
}

// text is what a person can read of some data.
func text(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%d bytes", len(b))
	}
	if len(b) > 500 {
		return strings.ToValidUTF8(string(b[:500]), "") + "…"
	}
	return string(b)
}
