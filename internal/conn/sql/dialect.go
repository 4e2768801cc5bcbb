package sql

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Text is a statement in the dialect: with its placeholders, and with its clock
// in place of NOW, in milliseconds since 1970. The clock is that of the
// statement's begin, on which all its rows agree. MySQL's is read in UTC: a local
// time is there twice when clocks are set back.
func (k Kind) Text(query string) string {
	now := "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
	switch k {
	case Postgres:
		now = "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS BIGINT)"
	case MySQL:
		now = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000)"
	}
	return k.Rebind(replaceWord(query, "NOW", now))
}

// replaceWord replaces a word where it is not a part of a name.
func replaceWord(s, word, by string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, word)
		if i < 0 {
			return b.String() + s
		}
		end := i + len(word)
		if i > 0 && nameByte(s[i-1]) || end < len(s) && nameByte(s[end]) {
			b.WriteString(s[:end])
		} else {
			b.WriteString(s[:i] + by)
		}
		s = s[end:]
	}
}

func nameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// Places is n placeholders, before Rebind.
func Places(n int) string { return "?" + strings.Repeat(", ?", n-1) }

// patience is how long a call waits that nobody has bounded.
const patience = 10 * time.Second

// Bound gives a call a deadline that has none: a connection may be dead without
// a word.
func Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return fronts.Deadline(ctx, patience)
}

// Unanswered is the error of a call of which the caller's context is ctx: a
// deadline that is not the caller's means that the database is unavailable.
func Unanswered(ctx context.Context, err error) error {
	if fault.KindOf(err) == context.DeadlineExceeded && ctx.Err() == nil {
		return fault.Mark(fault.Unavailable, err)
	}
	return err
}

// Retry runs f again while it collides with another transaction: up to 20 times,
// with growing waits.
func Retry(ctx context.Context, f func() error) error {
	wait := backoff.Policy{Min: 2 * time.Millisecond, Max: 200 * time.Millisecond}
	for n := 0; ; n++ {
		err := f()
		if !IsCollision(err) || n == 20 {
			return err
		}
		if e := backoff.Sleep(ctx, wait.Wait(n)); e != nil {
			return fault.Mark(fault.Unavailable, errors.Join(err, e))
		}
	}
}
