package sql

import (
	"context"
	sqldriver "database/sql/driver"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// Tail notifies those who wait for a database to change. While somebody has
// joined, one goroutine asks the database: when PostgreSQL notifies it, when it
// is poked, and else ever less often until something happens. Exported fields
// are set before the first call.
type Tail[S comparable] struct {
	DB      *DB
	Channel string                               // of PostgreSQL's notifications
	Ask     func(ctx context.Context) (S, error) // what is newest; errors have a kind
	Slowest time.Duration                        // between two questions while nothing happens

	mu     sync.Mutex
	now    S
	err    error         // of the last question
	asked  int           // the number of the question; 0: none was answered in this run
	asking int           // how many were put
	news   chan struct{} // closed when there is an answer
	poke   chan struct{}
	joined int
	stop   context.CancelFunc
	ended  chan struct{}
}

const (
	fastest   = 5 * time.Millisecond
	listening = 5 * time.Second // between two questions while PostgreSQL notifies
	answer    = 5 * time.Second // for one question
)

// Join starts the goroutine for the first who waits. It ends with the last
// Leave.
func (t *Tail[S]) Join() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joined++
	if t.joined > 1 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	before, ended, poke := t.ended, make(chan struct{}), make(chan struct{}, 1)
	t.stop, t.ended, t.news, t.asked, t.poke = cancel, ended, make(chan struct{}), 0, poke
	go func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		t.run(ctx, poke)
	}()
}

// Leave says that one has stopped waiting.
func (t *Tail[S]) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joined--
	if t.joined == 0 {
		t.stop()
	}
}

// Close waits for the goroutine. All have left.
func (t *Tail[S]) Close() {
	t.mu.Lock()
	ended := t.ended
	t.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// Poke asks at once: this process has changed something.
func (t *Tail[S]) Poke() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.joined > 0 {
		signal(t.poke)
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it will ask anyway
	}
}

// Wait returns what is newest once is says that it is news, or the error of
// asking. later tells that it was asked for after Wait began.
func (t *Tail[S]) Wait(ctx context.Context, is func(now S, later bool) bool) (S, error) {
	t.mu.Lock()
	before := t.asking
	t.mu.Unlock()
	for {
		t.mu.Lock()
		now, err, asked, news := t.now, t.err, t.asked, t.news
		t.mu.Unlock()
		switch {
		case asked == 0:
		case err != nil:
			return now, err
		case is(now, asked > before):
			return now, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

func (t *Tail[S]) run(ctx context.Context, poke chan struct{}) {
	var (
		ears  sync.WaitGroup
		heard = make(chan bool) // true: PostgreSQL will notify; false: it no longer does
	)
	defer ears.Wait()
	if t.DB.Kind == Postgres && t.DB.Stats().MaxOpenConnections != 1 {
		ears.Go(func() { t.listen(ctx, heard, poke) })
	}
	notified := false
	for pause := fastest; ; {
		if t.ask(ctx) {
			pause = fastest
		} else {
			pause = min(2*pause, t.Slowest)
		}
		rest := pause
		if notified {
			rest = listening
		}
		select {
		case <-ctx.Done():
			return
		case notified = <-heard:
		case <-poke:
		case <-time.After(rest):
		}
	}
}

// ask reports whether something has changed.
func (t *Tail[S]) ask(ctx context.Context) bool {
	t.mu.Lock()
	t.asking++
	number := t.asking
	t.mu.Unlock()
	call, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	now, err := t.Ask(call)
	if ctx.Err() != nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := t.asked == 0 || t.now != now || t.err != nil
	t.now, t.err, t.asked = now, err, number
	close(t.news) // also if it is the same: some wait for a later answer
	t.news = make(chan struct{})
	return changed && err == nil
}

// listen pokes when PostgreSQL notifies, on a connection of its own.
func (t *Tail[S]) listen(ctx context.Context, heard chan<- bool, poke chan<- struct{}) {
	say := func(on bool) {
		select {
		case heard <- on:
		case <-ctx.Done():
		}
	}
	c, err := t.DB.Read.Conn(ctx)
	if err != nil {
		return
	}
	defer c.Close()
	c.Raw(func(raw any) error {
		own, ok := raw.(*stdlib.Conn)
		if !ok {
			return nil // the user's own client
		}
		if _, err := own.Conn().Exec(ctx, "LISTEN "+t.Channel); err != nil {
			return sqldriver.ErrBadConn
		}
		say(true)
		defer say(false)
		for {
			if _, err := own.Conn().WaitForNotification(ctx); err != nil {
				return sqldriver.ErrBadConn // it listens, so nobody else may have it
			}
			signal(poke)
		}
	})
}
