package cloudevents

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/body"
	"github.com/micro/go-platform/internal/fault"
)

// Content types of the JSON format.
const (
	TypeJSON  = "application/cloudevents+json"
	TypeBatch = "application/cloudevents-batch+json"
)

// SetHeaders writes a record's attributes as headers of a message in binary
// mode, whose body is the record's Data.
func SetHeaders(h http.Header, r *event.Record) {
	for k, v := range attributesOf(r) {
		if k == "datacontenttype" {
			h.Set("Content-Type", v)
			continue
		}
		h.Set("Ce-"+k, escape(v))
	}
}

// FromMessage reads the record, or in batched mode the records, of an HTTP
// message in any mode.
func FromMessage(h http.Header, body []byte) ([]*event.Record, error) {
	t, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if strings.HasPrefix(t, "application/cloudevents") {
		if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
			return nil, invalidf("charset %q, want UTF-8", c)
		}
	}
	switch {
	case t == TypeBatch:
		var list []json.RawMessage
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, invalidf("not a JSON array: %w", err)
		}
		records := make([]*event.Record, len(list))
		for i, b := range list {
			var err error
			records[i], err = Unmarshal(b)
			if err != nil {
				return nil, err
			}
		}
		return records, nil
	case t == TypeJSON:
		r, err := Unmarshal(body)
		return []*event.Record{r}, err
	case strings.HasPrefix(t, "application/cloudevents"):
		return nil, invalidf("content type %q, want %s or %s", t, TypeJSON, TypeBatch)
	}
	a := map[string]string{}
	for k, vs := range h {
		if name, ok := strings.CutPrefix(strings.ToLower(k), "ce-"); ok && len(vs) > 0 {
			v, err := unescape(vs[0])
			if err != nil {
				return nil, invalidf("header %s: %w", k, err)
			}
			if name == "data" || name == "data_base64" || name == "datacontenttype" {
				return nil, invalidf("header %s", k)
			}
			a[name] = v
		}
	}
	if c := h.Get("Content-Type"); c != "" {
		a["datacontenttype"] = c
	}
	r, err := recordOf(a)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		r.Data = body
	}
	return []*event.Record{r}, nil
}

// escape writes what headers can't carry as percent signs and hex digits.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '%' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape reads what escape wrote, and quoted strings, which are allowed too.
func unescape(s string) (string, error) {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		s = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(s[1 : len(s)-1])
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		c, err := hex.DecodeString(s[i+1 : min(i+3, len(s))])
		if err != nil || len(c) == 0 {
			return "", errors.New("a percent sign without two hex digits")
		}
		b.Write(c)
		i += 2
	}
	return b.String(), nil
}

// What Handler reads of a message, and for how long.
const (
	maxBody    = 4 << 20
	bodyWithin = 30 * time.Second
)

// reserved drops from a stranger's record what only this system's own may say, and
// refuses a dead letter and a reply.
func reserved(r *event.Record) error {
	if r.Type == "dead" || strings.HasPrefix(r.Type, "dead.") || strings.HasPrefix(r.Type, "_reply.") {
		return invalidf("type %q is reserved", r.Type)
	}
	r.RootID, r.ParentID = "", ""
	maps.DeleteFunc(r.Metadata, func(k, _ string) bool {
		k = strings.ToLower(k)
		return k == "baggage" || strings.HasPrefix(k, "dead-") || strings.HasPrefix(k, "reply-") || strings.HasPrefix(k, "x-micro-")
	})
	return nil
}

// Handler publishes the CloudEvents that are posted to it, in any mode. It
// answers 202 when they are in the stream, 400 and 413 for what is wrong with
// them, 503 when the stream did not take them: the sender should try again. A
// body has at most 4 MiB and 30 s to arrive (408).
// Its senders may be strangers; see TrustedHandler.
func Handler(s event.Stream) http.Handler { return handler(s, reserved) }

// TrustedHandler is a Handler that lets senders set rootid, parentid, baggage and
// labels, and post dead letters: for your own services, where nobody else can reach it.
func TrustedHandler(s event.Stream) http.Handler {
	return handler(s, func(*event.Record) error { return nil })
}

func handler(s event.Stream, admit func(*event.Record) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "want POST", http.StatusMethodNotAllowed)
			return
		}
		read := body.Bound(w, req, maxBody, bodyWithin)
		message, err := io.ReadAll(req.Body)
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			http.Error(w, "the body came too slowly", http.StatusRequestTimeout)
			return
		}
		if err != nil {
			http.Error(w, "reading the body failed", http.StatusBadRequest)
			return
		}
		read()
		records, err := FromMessage(req.Header, message)
		for _, r := range records {
			if err == nil {
				err = admit(r)
			}
		}
		if err == nil {
			err = s.Publish(req.Context(), records...)
		}
		switch {
		case err == nil:
			w.WriteHeader(http.StatusAccepted)
		case errors.Is(err, event.ErrTooLarge):
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		case errors.Is(err, event.ErrInvalid):
			http.Error(w, err.Error(), http.StatusBadRequest)
		default: // nothing of the backend for a stranger to read
			http.Error(w, "not published", http.StatusServiceUnavailable)
		}
	})
}

// NewRequest returns a request that posts a record in binary mode.
func NewRequest(url string, r *event.Record) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(r.Data))
	if err != nil {
		return nil, fault.Wrap("event/cloudevents", "request", "", fault.Mark(fault.Invalid, err))
	}
	SetHeaders(req.Header, r)
	return req, nil
}
