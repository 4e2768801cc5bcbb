package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/internal/backoff"
)

func configWatch() *command {
	return &command{
		name: "watch", args: "DOCUMENT", min: 1, max: 1, follows: true, short: "print the newest version and every one that is made, until Ctrl-C",
		examples: []string{"platform config watch shop/prod", "platform config watch shop/prod -changes -o json"},
		setup: func(f *flags) action {
			changes := f.bool("changes", "leave out the version that is there at first")
			return onStore(f, func(ctx context.Context, c *call, st store.Store) error {
				w := &documentWatch{c: c, st: st, name: c.args[0], quiet: *changes}
				return w.follow(ctx)
			})
		},
	}
}

// documentWatch follows the versions of one document.
type documentWatch struct {
	c     *call
	st    store.Store
	name  string
	quiet bool   // at the first look
	began bool   // it has looked
	seen  uint64 // the newest version at that time
}

// follow looks at the history whenever the document has changed, until ctx ends.
func (w *documentWatch) follow(ctx context.Context) error {
	source := w.st.Source(strings.Split(w.name, "/")...)
	if err := source.(config.Opener).Open(ctx); err != nil {
		return err
	}
	failed := make(chan error, 1) // of what no wait mends
	for {
		inner, stop := context.WithCancel(ctx)
		err := source.(config.Watcher).Watch(inner, func(_ config.Content, err error) {
			unavailable := err != nil && codeOf(err) == exitUnavailable
			if unavailable {
				w.c.waiting(err)
			}
			if err == nil || unavailable || errors.Is(err, config.ErrNotFound) { // of documents that are deleted there is news, too
				err = w.lookUntil(inner, unavailable)
			}
			if err == nil || inner.Err() != nil {
				return
			}
			select {
			case failed <- err:
			default:
			}
			stop()
		})
		stop()
		select {
		case err := <-failed:
			return err
		default:
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && codeOf(err) != exitUnavailable:
			return err
		}
		w.c.complain("the watch has ended; it is begun again")
		if backoff.Sleep(ctx, time.Second) != nil {
			return nil
		}
	}
}

// lookUntil looks until the store answers: the watch may say nothing more of what
// has changed. said is whether the user knows that it is unavailable.
func (w *documentWatch) lookUntil(ctx context.Context, said bool) error {
	for {
		err := w.look(ctx)
		if err == nil || codeOf(err) != exitUnavailable {
			return err
		}
		if !said && ctx.Err() == nil {
			w.c.waiting(err)
			said = true
		}
		if err := backoff.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// look prints the versions that are new.
func (w *documentWatch) look(ctx context.Context) error {
	q := store.Query{Namespace: w.name}
	if !w.began {
		q.Limit = 1
	}
	var news []store.Version
	for v, err := range w.st.History(ctx, q) {
		if err != nil {
			return err
		}
		if v.Number <= w.seen {
			break
		}
		news = append(news, v)
	}
	first := !w.began
	w.began = true
	if first && (w.quiet || len(news) == 0) {
		w.c.note("watching")
	}
	for _, v := range slices.Backward(news) {
		w.seen = v.Number
		if first && w.quiet {
			continue
		}
		if err := w.c.line(v, w.c.when(v.Time), v.Number, v.Author, painted{cyan, actionOf(v)}, v.Path, v.Comment); err != nil {
			return err
		}
	}
	return nil
}
