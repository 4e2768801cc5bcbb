package url

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

const (
	shortestWait = time.Second
	longestWait  = 10 * time.Minute
	reserve      = 10 * time.Second       // for the answer to a request that was held
	pace         = 250 * time.Millisecond // between two requests at least
	absent       = 5 * time.Second        // between requests for what is not there
)

// LongPoll returns a source of the document at rawURL which is live: each request
// asks the server to hold it until the document changes, or for wait, from 1 s to
// 10 min (Prefer: wait, RFC 7240, beside If-None-Match). A server that does not
// hold requests is asked every wait. The timeout of a client of your own
// (WithClient) must be longer than wait.
func LongPoll(rawURL string, wait time.Duration, opts ...Option) config.Source {
	return &longPoll{&source{raw: rawURL, opts: opts}, wait}
}

type longPoll struct {
	*source
	wait time.Duration
}

func (l *longPoll) Open(ctx context.Context) error {
	if l.wait < shortestWait || l.wait > longestWait {
		return fault.Markf(config.ErrInvalid, "a wait of %v, want %v to %v", l.wait, shortestWait, longestWait)
	}
	return l.source.Open(ctx)
}

// Watch asks again and again. It ends with an error of the server's.
func (l *longPoll) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	for wait := time.Duration(0); ; wait = l.wait { // the first one is answered at once
		began := time.Now()
		bounded, cancel := context.WithTimeout(ctx, wait+reserve)
		c, applied, err := l.ask(bounded, wait)
		cancel()
		pause := pace
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fault.NotFound):
			pause = min(absent, l.wait)
			deliver(config.Content{}, err)
		case errors.Is(err, context.DeadlineExceeded):
			return fault.Markf(config.ErrUnavailable, "no answer within %v", wait+reserve)
		case err != nil:
			return err
		default:
			if wait > 0 && !applied { // it does not hold requests
				pause = l.wait
			}
			deliver(c, nil)
		}
		if err := backoff.Sleep(ctx, pause-time.Since(began)); err != nil {
			return err
		}
	}
}
