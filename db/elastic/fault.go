package elastic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/micro/go-platform/internal/fault"
)

// Error is what the server answered instead of what it was asked for. It is in
// the chain of db's errors.
type Error struct {
	Status int    // of HTTP, or of one write of several
	Type   string // "version_conflict_engine_exception"; empty if it was no answer of the server's own
	Reason string
}

func (e *Error) Error() string {
	if e.Type == "" {
		return fmt.Sprintf("status %d %s%s", e.Status, http.StatusText(e.Status), e.Reason)
	}
	return fmt.Sprintf("status %d: %s: %s", e.Status, e.Type, e.Reason)
}

// maxReason bounds what of a server's words stands in an error.
const maxReason = 500

// cause is an error as the servers write it; older ones write a string.
type cause struct {
	Type     string            `json:"type"`
	Reason   string            `json:"reason"`
	CausedBy json.RawMessage   `json:"caused_by"`
	Root     []json.RawMessage `json:"root_cause"` // of one that has none before it: itself
}

func (c *cause) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		c.Type = "error"
		return json.Unmarshal(b, &c.Reason)
	}
	type plain cause
	return json.Unmarshal(b, (*plain)(c))
}

// before returns what caused an error, nil if nothing did.
func (c *cause) before() *cause {
	next := c.CausedBy
	if len(next) == 0 && len(c.Root) > 0 { // all shards failed: why?
		next = c.Root[0]
	}
	var found cause
	if len(next) == 0 || json.Unmarshal(next, &found) != nil || found.Type == c.Type && found.Reason == c.Reason {
		return nil
	}
	return &found
}

// maxCauses is how far back an error is followed.
const maxCauses = 4

func newError(status int, c *cause) *Error {
	e := &Error{Status: status}
	if c == nil {
		return e
	}
	e.Type, e.Reason = c.Type, c.Reason
	for n := 0; n < maxCauses && len(e.Reason) < maxReason; n++ {
		c = c.before()
		if c == nil {
			break
		}
		e.Reason += "; " + c.Type + ": " + c.Reason
	}
	if len(e.Reason) > maxReason {
		e.Reason = strings.ToValidUTF8(e.Reason[:maxReason], "") + "…"
	}
	return e
}

// refused reads the body of an answer that is an error.
func refused(status int, body []byte) *Error {
	var answer struct {
		Error *cause `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		answer.Error = nil // a proxy's page
	}
	return newError(status, answer.Error)
}

// The server's words for what was certainly not done.
var unavailable = map[string]bool{
	"circuit_breaking_exception":                      true,
	"es_rejected_execution_exception":                 true,
	"rejected_execution_exception":                    true,
	"cluster_block_exception":                         true,
	"unavailable_shards_exception":                    true,
	"no_shard_available_action_exception":             true,
	"master_not_discovered_exception":                 true,
	"cluster_manager_not_discovered_exception":        true,
	"process_cluster_event_timeout_exception":         true,
	"process_cluster_manager_event_timeout_exception": true,
}

// marked gives the error its kind; write says that something may have been
// changed.
func (e *Error) marked(write bool) error {
	switch {
	case e.Status == http.StatusTooManyRequests || unavailable[e.Type]:
		return fault.Mark(fault.Unavailable, e)
	case e.Status == http.StatusConflict:
		return fault.Mark(fault.Conflict, e)
	case e.Status == http.StatusRequestEntityTooLarge, e.Status == http.StatusBadRequest &&
		(strings.Contains(e.Reason, "immense term") || strings.Contains(e.Reason, "exceeds the maximum")):
		return fault.Mark(fault.TooLarge, e)
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return fault.Mark(fault.Denied, e)
	case e.Status >= 500 && write:
		return fault.Mark(fault.UnknownOutcome, e)
	case e.Status > 500:
		return fault.Mark(fault.Unavailable, e)
	}
	return e
}

// missing reports whether there is no index of that name.
func (e *Error) missing() bool { return e.Type == "index_not_found_exception" }
