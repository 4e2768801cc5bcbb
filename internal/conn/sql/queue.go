package sql

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"
	"sync"
)

// queue is the connector of SQLite's writers. They share one connection, which goes to
// whoever has waited longest: a pool of database/sql gives it to any of them, so that
// one of fifty may wait for some hundred others. The pool on top of a queue has no
// bound, and keeps nothing: Connect waits for the turn, and Close of what it returns
// ends it.
type queue struct {
	driver.Connector // opens the connection

	mu      sync.Mutex
	taken   bool      // somebody has the turn
	waiting list.List // of chan error, who waits longest first
	closed  bool

	// Of whoever has the turn:
	conn driver.Conn            // nil: none is open
	kept map[string]driver.Stmt // statements that nobody uses, by their text
}

// maxKept bounds the statements.
const maxKept = 512

// Connect implements driver.Connector.
func (q *queue) Connect(ctx context.Context) (driver.Conn, error) {
	err := q.wait(ctx)
	if err != nil {
		return nil, err
	}
	if q.conn == nil {
		q.conn, err = q.Connector.Connect(ctx)
		q.kept = map[string]driver.Stmt{}
	}
	if err != nil {
		q.conn = nil
		q.pass()
		return nil, err
	}
	return &turn{connection: q.conn.(connection), q: q}, nil
}

// wait returns when the turn is the caller's.
func (q *queue) wait(ctx context.Context) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return errors.New(closed)
	}
	if !q.taken {
		q.taken = true
		q.mu.Unlock()
		return nil
	}
	mine := make(chan error, 1)
	at := q.waiting.PushBack(mine)
	q.mu.Unlock()
	select {
	case err := <-mine:
		return err
	case <-ctx.Done():
	}
	q.mu.Lock()
	q.waiting.Remove(at)
	q.mu.Unlock()
	select {
	case err := <-mine: // it came at the same moment
		if err == nil {
			q.pass()
		}
	default:
	}
	return ctx.Err()
}

// pass gives the turn to the next one.
func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.waiting.Front()
	switch {
	case first != nil:
		q.waiting.Remove(first).(chan error) <- nil
	case q.closed:
		q.hangUp()
	}
	q.taken = first != nil
}

// hangUp closes the connection.
func (q *queue) hangUp() error {
	if q.conn == nil {
		return nil
	}
	for _, s := range q.kept {
		s.Close()
	}
	err := q.conn.Close()
	q.conn, q.kept = nil, nil
	return err
}

// Close closes the connection when nobody uses it any more. Those who wait for it get
// an error.
func (q *queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for q.waiting.Len() > 0 {
		q.waiting.Remove(q.waiting.Front()).(chan error) <- errors.New(closed)
	}
	if q.taken {
		return nil
	}
	return q.hangUp()
}

// connection is what a connection of SQLite can do.
type connection interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
}

// turn is the connection for one statement or transaction.
type turn struct {
	connection
	q *queue
}

// Close implements driver.Conn. The connection stays: one to a file does not break.
func (t *turn) Close() error {
	t.q.pass()
	return nil
}

// PrepareContext implements driver.ConnPrepareContext.
func (t *turn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s := t.q.kept[text]
	delete(t.q.kept, text) // two at once are two statements
	if s == nil {
		var err error
		s, err = t.connection.PrepareContext(ctx, text)
		if err != nil {
			return nil, err
		}
	}
	return &keptStmt{statement: s.(statement), q: t.q, text: text}, nil
}

// statement is what a statement of SQLite can do.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keptStmt is a statement that Close keeps for whoever needs it next.
type keptStmt struct {
	statement
	q    *queue
	text string
}

// Close implements driver.Stmt.
func (s *keptStmt) Close() error {
	if s.q.kept[s.text] != nil || len(s.q.kept) >= maxKept {
		return s.statement.Close()
	}
	s.q.kept[s.text] = s.statement
	return nil
}
