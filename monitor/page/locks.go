package page

import (
	"context"
	"errors"
	"net/http"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

// LockLine is one hold of api/locks.
type LockLine struct {
	dsync.Hold
	Left   time.Duration `json:"left,omitempty"`   // until Until
	Leader string        `json:"leader,omitempty"` // of an election that this process waits for: who leads
}

func (p *Page) locks(r *http.Request) (any, error) {
	out := []LockLine{}
	for _, s := range p.o.locks {
		leaders := map[string]string{}
		for _, h := range s.Holds() {
			line := LockLine{Hold: h}
			switch {
			case !h.Waiting:
				line.Left = time.Until(h.Until)
			case h.Kind == dsync.KindLeader:
				if _, ok := leaders[h.ID]; !ok {
					leaders[h.ID] = leader(r.Context(), s, h.ID)
				}
				line.Leader = leaders[h.ID]
			}
			out = append(out, line)
		}
	}
	return out, nil
}

// leader says who leads, or why that is not known.
func leader(ctx context.Context, s dsync.Sync, id string) string {
	c, err := candidate(ctx, s, id)
	if err != nil {
		return err.Error()
	}
	return c.Owner
}

// candidate returns who leads, the zero value if nobody does. It asks the backend.
func candidate(ctx context.Context, s dsync.Sync, id string) (dsync.Candidate, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	l, err := s.Leader(id)
	if err != nil {
		return dsync.Candidate{}, err
	}
	defer l.Close()
	c, err := l.Leader(ctx)
	if errors.Is(err, dsync.ErrNoLeader) {
		return dsync.Candidate{}, nil
	}
	return c, err
}
