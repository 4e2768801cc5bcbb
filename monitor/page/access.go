package page

import (
	"context"
	"net/http"
	"time"

	"github.com/micro/go-platform/auth"
)

// Access is what somebody may do.
type Access uint8

// What may be done.
const (
	None  Access = iota // nothing
	Read                // look
	Write               // look, change log levels, roll documents back
)

// Session is what api/session answers: who asks and what they may do.
type Session struct {
	User  string `json:"user,omitempty"`
	Write bool   `json:"write"`
}

// The request that WithAuth's policy decides on.
const (
	resource    = "platform/page"
	actionRead  = "read"
	actionWrite = "write"
)

// asker says who sent a request, or why it may not be answered.
type asker func(r *http.Request, want Access) (user string, err error)

// refusal is a request that is not answered.
type refusal struct {
	code      int
	challenge string // WWW-Authenticate
	wait      time.Duration
}

func (e *refusal) Error() string {
	switch e.code {
	case http.StatusUnauthorized:
		return "sign in"
	case http.StatusTooManyRequests:
		return "too many wrong passwords, wait " + e.wait.Round(time.Second).String()
	case http.StatusMisdirectedRequest:
		return "this is not a name of the page, see page.WithHosts"
	case http.StatusServiceUnavailable:
		return "nobody could be asked who you are"
	}
	return "not allowed"
}

// byFunc is WithAccess.
func byFunc(access func(*http.Request) Access) asker {
	return func(r *http.Request, want Access) (string, error) {
		if access(r) < want {
			return "", &refusal{code: http.StatusForbidden}
		}
		return "", nil
	}
}

// byLogin is WithLogin.
func byLogin(check func(user, password string) Access, source func(*http.Request) string) asker {
	g := newGuesses()
	return func(r *http.Request, want Access) (string, error) {
		user, password, ok := r.BasicAuth()
		access := None
		if ok {
			right, wait := g.try(source(r), user, password)
			if wait > 0 {
				return "", &refusal{code: http.StatusTooManyRequests, wait: wait}
			}
			access = check(user, password)
			if access != None {
				right()
			}
		}
		switch {
		case access == None:
			return "", &refusal{code: http.StatusUnauthorized, challenge: `Basic realm="platform", charset="UTF-8"`}
		case access < want:
			return "", &refusal{code: http.StatusForbidden}
		}
		return user, nil
	}
}

// byAuth is WithAuth.
func byAuth(a auth.Auth, service string) asker {
	return func(r *http.Request, want Access) (string, error) {
		ask := auth.Request{Service: service, Action: actionRead, Resource: resource}
		if want == Write {
			ask.Action = actionWrite
		}
		ctx, err := auth.AuthorizeHTTP(a, r, ask)
		if err != nil {
			code, challenge := auth.Challenge(err)
			return "", &refusal{code: code, challenge: challenge}
		}
		return subject(ctx), nil
	}
}

func subject(ctx context.Context) string {
	if t, ok := auth.FromContext(ctx); ok {
		return t.Subject
	}
	return ""
}

func (p *Page) session(r *http.Request) (any, error) {
	user, err := p.ask(r, Write)
	if err == nil {
		return Session{user, true}, nil
	}
	user, err = p.ask(r, Read)
	return Session{user, false}, err
}
