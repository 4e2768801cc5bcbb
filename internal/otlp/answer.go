package otlp

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// MaxAnswer bounds what is read of an answer.
const MaxAnswer = 64 << 10

// Partial reads the partial success of an Export…ServiceResponse: in all three
// signals field 1 is the number of what was rejected, field 2 the reason.
func Partial(answer []byte) (r Refused) {
	for f, b, ok := Next(answer); ok; f, b, ok = Next(b) {
		if f.Number != 1 {
			continue
		}
		for g, c, ok := Next(f.Bytes); ok; g, c, ok = Next(c) {
			switch g.Number {
			case 1:
				r.Items = int(max(0, int64(g.Int)))
			case 2:
				r.Reason = string(g.Bytes)
			}
		}
	}
	return r
}

// partialJSON is Partial of an answer in JSON.
func partialJSON(answer []byte) (r Refused) {
	var a struct {
		PartialSuccess map[string]json.RawMessage `json:"partialSuccess"`
	}
	_ = json.Unmarshal(answer, &a) // an empty answer is a success
	for k, v := range a.PartialSuccess {
		switch k {
		case "rejectedSpans", "rejectedDataPoints", "rejectedLogRecords":
			r.Items, _ = strconv.Atoi(strings.Trim(string(v), `"`)) // a number or a string
		case "errorMessage":
			_ = json.Unmarshal(v, &r.Reason)
		}
	}
	r.Items = max(0, r.Items)
	return r
}

// reason is what an answer says in a google.rpc.Status, or as it is.
func reason(answer []byte, kind string) string {
	if strings.HasPrefix(kind, "application/x-protobuf") {
		for f, b, ok := Next(answer); ok; f, b, ok = Next(b) {
			if f.Number == 2 {
				return string(f.Bytes[:min(len(f.Bytes), 512)])
			}
		}
		return ""
	}
	return string(bytes.TrimSpace(answer[:min(len(answer), 512)]))
}
