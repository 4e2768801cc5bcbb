package sql

import (
	"context"
	sqldriver "database/sql/driver"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/micro/go-platform/internal/conn/sql"
)

// tail notifies the watches that there are newer revisions. While somebody
// watches, one goroutine asks the database: when PostgreSQL notifies it, else
// ever less often until something happens.
type tail struct {
	d *driver

	mu      sync.Mutex
	now     state
	err     error         // of the last question
	asked   int           // the number of the question; 0: none was answered in this run
	asking  int           // how many were put
	news    chan struct{} // closed when now or err is set
	watches int
	stop    context.CancelFunc
	ended   chan struct{}
}

const (
	askFirst  = 5 * time.Millisecond
	askLast   = 250 * time.Millisecond
	askListen = 5 * time.Second // while PostgreSQL notifies
	patience  = 5 * time.Second // for one answer

	channel = "kv_items" // of PostgreSQL's notifications
)

// join starts the goroutine for the first watch, leave ends it with the last.
func (t *tail) join() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watches++; t.watches > 1 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	before, ended := t.ended, make(chan struct{})
	t.stop, t.ended, t.news, t.asked = cancel, ended, make(chan struct{}), 0
	go func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		t.run(ctx)
	}()
}

func (t *tail) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watches--; t.watches == 0 {
		t.stop()
	}
}

// close waits for the goroutine. Nobody watches any more.
func (t *tail) close() {
	t.mu.Lock()
	ended := t.ended
	t.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// wait returns what is newest once that is not rev, or the error of asking. An
// older revision counts only if it was asked for later: then data were lost.
func (t *tail) wait(ctx context.Context, rev int64) (state, error) {
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
			return state{}, err
		case now.rev > rev, now.rev < rev && asked > before:
			return now, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return state{}, ctx.Err()
		}
	}
}

func (t *tail) run(ctx context.Context) {
	heard := make(chan struct{}, 1)
	var ears sync.WaitGroup
	defer ears.Wait()
	if t.d.kind == sql.Postgres && t.d.db.Stats().MaxOpenConnections != 1 {
		ears.Go(func() { t.listen(ctx, heard) })
	}
	listening := false
	for pause := askFirst; ; {
		if t.ask(ctx) {
			pause = askFirst
		} else {
			pause = min(2*pause, askLast)
		}
		if listening {
			pause = askListen
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case _, listening = <-heard:
			timer.Stop()
			if !listening {
				heard = nil
			}
		case <-timer.C:
		}
	}
}

// ask reports whether something has changed.
func (t *tail) ask(ctx context.Context) bool {
	t.mu.Lock()
	t.asking++
	number := t.asking
	t.mu.Unlock()
	call, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now, err := t.d.ask(call)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		err = t.d.readError(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked != 0 && t.now == now && t.err == nil && err == nil {
		return false
	}
	t.now, t.err, t.asked = now, err, number
	close(t.news)
	t.news = make(chan struct{})
	return err == nil
}

// listen sends to heard, at its begin and when PostgreSQL notifies, and closes
// it when it can't.
func (t *tail) listen(ctx context.Context, heard chan<- struct{}) {
	defer close(heard)
	c, err := t.d.db.Read.Conn(ctx)
	if err != nil {
		return
	}
	defer c.Close()
	c.Raw(func(raw any) error {
		own, ok := raw.(*stdlib.Conn)
		if !ok {
			return nil // the user's own client
		}
		if _, err := own.Conn().Exec(ctx, "LISTEN "+channel); err != nil {
			return sqldriver.ErrBadConn
		}
		for {
			select {
			case heard <- struct{}{}:
			default: // it will look anyway
			}
			if _, err := own.Conn().WaitForNotification(ctx); err != nil {
				return sqldriver.ErrBadConn // it listens, so nobody else may have it
			}
		}
	})
}
