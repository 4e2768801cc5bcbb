package fault

import (
	"context"
	"strings"
	"time"
)

// Opening gives the error of a backend that could not be made its form, the
// same in every package: "kv/redis: new: invalid: …". Without a kind it is
// Invalid: the program asked for something that can't be.
func Opening(scope string, err error) error {
	if KindOf(err) == nil {
		err = Mark(Invalid, err)
	}
	return said(Wrap(scope, "new", "", err))
}

// Unanswered gives the error of a backend that was asked for a sign of life
// its form, the same in every package: "kv/redis: new: backend unavailable: …".
// What a server refuses keeps its kind. Without a kind, and if only the time
// that New has is over, it is Unavailable.
func Unanswered(scope string, err error) error {
	switch KindOf(err) {
	case context.DeadlineExceeded:
		err = Markf(Unavailable, "no answer in time: %w", err)
	case nil, Timeout, UnknownOutcome:
		err = Mark(Unavailable, err)
	}
	return said(Wrap(scope, "new", "", err))
}

// NoDriver is the error of a WithDriver whose function returned neither a driver
// nor an error.
var NoDriver = Markf(Invalid, "WithDriver: the function returned neither a driver nor an error")

// Late gives the error of a call that its front's own timeout has ended its kind,
// the same in every package: Unavailable. The end of the caller's context, ctx,
// stays what it is.
func Late(ctx context.Context, timeout time.Duration, err error) error {
	if err == nil || ctx.Err() != nil || KindOf(err) != context.DeadlineExceeded {
		return err
	}
	return Markf(Unavailable, "no answer within %v: %w", timeout, err)
}

// said makes an error's text one line that names its kind once, whatever the
// clients of servers and the layers below put into it.
func said(err error) error {
	e, ok := err.(*Error)
	if !ok || e.Cause == nil {
		return err
	}
	text := strings.NewReplacer(":\n\t", ": ", "\n\t", "; ", "\n", "; ").Replace(e.Cause.Error())
	if e.Kind != nil {
		text = without(text, e.Kind.Error())
	}
	if text == e.Cause.Error() {
		return err
	}
	clear := *e
	clear.Cause = &line{text, e.Cause}
	return &clear
}

// without leaves a kind out of a text where it is a part of its own, before a
// colon: "invalid: no host", not "the name is invalid: no host".
func without(text, kind string) string {
	kept := ""
	for {
		before, after, found := strings.Cut(text, kind+": ")
		kept += before
		switch {
		case !found:
			return kept
		case kept != "" && !strings.HasSuffix(kept, ": ") && !strings.HasSuffix(kept, "; "):
			kept += kind + ": "
		}
		text = after
	}
}

// line is an error in other words.
type line struct {
	text string
	error
}

func (l *line) Error() string { return l.text }
func (l *line) Unwrap() error { return l.error }
