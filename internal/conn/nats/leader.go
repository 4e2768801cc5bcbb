package nats

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Of says which message of a stream is asked for: the last one of a subject, or the first
// one of it from a number on. The subject may have wildcards.
type Of struct {
	Last string `json:"last_by_subj,omitempty"`
	Next string `json:"next_by_subj,omitempty"`
	From uint64 `json:"seq,omitempty"`
}

// FromLeader reads a message from the server that leads the stream, also if the stream lets
// its others answer (allow_direct), which may not have yet what was acknowledged. While none
// leads, none answers.
func FromLeader(ctx context.Context, c *nats.Conn, stream string, of Of) (*jetstream.RawStreamMsg, error) {
	question, err := json.Marshal(of)
	if err != nil {
		return nil, err
	}
	answer, err := Ask(ctx, func(ctx context.Context) (*nats.Msg, error) {
		return c.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, question)
	})
	if err != nil {
		return nil, err
	}
	return message(answer.Data)
}

// message reads the answer.
func message(b []byte) (*jetstream.RawStreamMsg, error) {
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, jetstream.ErrMsgNotFound
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return nil, jetstream.ErrStreamNotFound
	case answer.Error != nil:
		return nil, answer.Error
	case answer.Message == nil:
		return nil, jetstream.ErrInvalidJetStreamResponse
	}
	m := &jetstream.RawStreamMsg{Subject: answer.Message.Subject, Sequence: answer.Message.Seq, Data: answer.Message.Data, Time: answer.Message.Time}
	if len(answer.Message.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(answer.Message.Header)
		if err != nil {
			return nil, err
		}
		m.Header = h
	}
	return m, nil
}
