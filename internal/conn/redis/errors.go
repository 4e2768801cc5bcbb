package redis

import (
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/redis/go-redis/v9"
)

// ReadError gives the error of a command that changes nothing its kind.
func ReadError(err error) error { return kind(err, false) }

// WriteError gives the error of a command that changes something its kind:
// UnknownOutcome, unless Redis answered or was not reached.
func WriteError(err error) error { return kind(err, true) }

// temporary are the answers of a server that has done nothing because it cannot
// now.
var temporary = []string{
	"LOADING", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS", "OOM",
	"ERR max number of clients", "MOVED", "ASK",
}

// refusals are the answers to a user who may not, now or later.
var refusals = []string{"NOAUTH", "WRONGPASS", "NOPERM", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH"}

// Answer returns what the server said, or "" if it said nothing. Within a script,
// Redis 6 says first where that stopped: "ERR Error running script (call to
// f_…): @user_script:8: @user_script: 8: -READONLY You can't …".
func Answer(err error) string {
	answer, ok := errors.AsType[redis.Error](err)
	if !ok || errors.Is(err, redis.Nil) {
		return ""
	}
	text := answer.Error()
	if strings.HasPrefix(text, "ERR Error running script") || strings.HasPrefix(text, "ERR Error compiling script") {
		if i := strings.LastIndex(text, ": -"); i >= 0 {
			return text[i+3:]
		}
		// Redis refuses a command by itself: "…: @user_script: 8: OOM command not allowed …".
		for _, word := range slices.Concat(temporary, refusals, []string{"WRONGTYPE"}) {
			if i := strings.Index(text, ": "+word); i >= 0 {
				return text[i+2:]
			}
		}
	}
	return text
}

func startsWith(text string, list []string) bool {
	return slices.ContainsFunc(list, func(word string) bool { return strings.HasPrefix(text, word) })
}

func kind(err error, write bool) error {
	if err == nil || fault.KindOf(err) == fault.NotFound {
		return err
	}
	if text := Answer(err); text != "" {
		switch {
		case startsWith(text, temporary):
			return fault.Mark(fault.Unavailable, err)
		case startsWith(text, refusals):
			return fault.Mark(fault.Denied, err)
		case strings.Contains(text, "The user executing the script can't"), strings.HasPrefix(text, "ERR ACL failure"):
			return fault.Mark(fault.Denied, err) // a command or a key within a script
		}
		return fault.Mark(fault.Invalid, err)
	}
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, redis.ErrClosed): // under who still uses it
		return fault.Markf(fault.Unavailable, "the connection to Redis was closed: %w", err)
	case op != nil && op.Op == "dial",
		errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return fault.Mark(fault.Unavailable, err)
	case write:
		return fault.Mark(fault.UnknownOutcome, err)
	case conn.IsContext(err):
		return err
	}
	return fault.Mark(fault.Unavailable, err)
}
