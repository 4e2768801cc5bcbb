package micro

import (
	"fmt"
	"net/http"
	"strings"

	merrors "go-micro.dev/v5/errors"
	"go-micro.dev/v5/metadata"

	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
	"github.com/micro/go-platform/wrapper"
)

// A call of go-micro has no URL, so proofs of possession (RFC 9449) are for a
// POST to micro://service/endpoint, which both sides know.
func address(service, endpoint string) string { return "micro://" + service + "/" + endpoint }

const proofKey = "Dpop"

// show adds the call's token to the metadata of an attempt, with a new proof if
// it is bound to a key.
func (t *attempt) show() (err error) {
	if t.s.token == nil {
		return nil
	}
	c := &t.s.call
	t.shown, err = t.s.a.Presenter().Present(t.s.token, http.MethodPost, address(c.Service, c.Method))
	if err != nil {
		return err
	}
	t.md["Authorization"] = string(t.shown.Authorization)
	if t.shown.Proof != "" {
		t.md[proofKey] = string(t.shown.Proof)
	}
	return nil
}

// nonceDetail begins the detail of an error that tells which nonce the next
// proof needs: answers of go-micro have no other place for it.
const nonceDetail = "use_dpop_nonce "

// wantsNonce reports whether the service refused only because the proof lacks
// its nonce, and notes the nonce.
func (t *attempt) wantsNonce(err error) bool {
	if err == nil || t.shown.Proof == "" {
		return false
	}
	e, ok := err.(*merrors.Error)
	if !ok {
		e = merrors.Parse(err.Error())
	}
	nonce, ok := strings.CutPrefix(e.Detail, nonceDetail)
	return ok && e.Code == http.StatusUnauthorized && t.s.a.Presenter().Answered(t.shown, nonce, nonceDetail)
}

// readShown reads what the caller of c has shown, if it is a token with a proof.
func readShown(a wrapper.Adapter, c *wrapper.Call, md metadata.Metadata) {
	proof, ok := md[proofKey]
	if !ok || c.Message {
		return
	}
	var shown auth.Credential
	var err error
	shown.Scheme, shown.Value, err = auth.ParseAuthorization(md["Authorization"])
	if err == nil && len(proof) > 16<<10 {
		err = fmt.Errorf("%w: of %d bytes", auth.ErrProof, len(proof))
	}
	shown.Proof = &auth.Proof{JWT: auth.Secret(proof), Method: http.MethodPost, URL: address(c.Service, c.Method)}
	a.Shown(c, shown, err == nil, err)
}

// nonceOf is the detail of the error for a proof without the nonce that it needs.
func nonceOf(a auth.Auth) string {
	r, ok := a.(authdriver.NonceRequirer)
	if !ok {
		return ""
	}
	return nonceDetail + r.ProofNonce()
}
