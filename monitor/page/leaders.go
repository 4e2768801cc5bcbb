package page

import (
	"context"
	"fmt"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

const (
	leadersEvery = 5 * time.Second
	mostLeaders  = 100 // elections that are followed
)

// leaders finds out who leads the elections that this process takes part in.
type leaders struct {
	line *timeline
	by   map[election]string // who leads, "" for nobody
}

type election struct {
	sync int
	id   string
}

// look asks the backend about the elections that others may have won.
func (l *leaders) look(ctx context.Context, all []dsync.Sync) {
	next := map[election]string{}
	for i, s := range all {
		for _, h := range s.Holds() {
			e := election{i, h.ID}
			if _, asked := next[e]; h.Kind != dsync.KindLeader || asked || len(next) >= mostLeaders {
				continue
			}
			now, text := h.Owner, ""
			if h.Waiting {
				c, err := candidate(ctx, s, h.ID)
				if err != nil {
					if was, known := l.by[e]; known {
						next[e] = was // not known now
					}
					continue
				}
				now = c.Owner
			} else {
				text = fmt.Sprintf("%s leads, with token %d: this process", h.Owner, h.Token)
			}
			next[e] = now
			l.changed(e, now, text)
		}
	}
	l.by = next
}

func (l *leaders) changed(e election, now, text string) {
	was, known := l.by[e]
	if known && was == now {
		return
	}
	m := Moment{Time: time.Now(), Kind: kindLeader, State: "accent", Subject: e.id, Text: text}
	switch {
	case now == "" && !known:
		return
	case now == "":
		m.State, m.Text = "warn", "nobody leads, "+was+" did"
	case text == "":
		m.Text = now + " leads"
	}
	l.line.add(m)
}
