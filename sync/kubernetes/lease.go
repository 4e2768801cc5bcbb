package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn/kubernetes"
)

// leases is the resource.
var leases = kubernetes.Resource{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease", Plural: "leases"}

// lease is an object of coordination.k8s.io/v1.
type lease struct {
	kubernetes.Meta
	Spec spec

	read document // as it came: what is not known here is kept over an update
}

// ObjectMeta makes lease a kubernetes.Object.
func (l *lease) ObjectMeta() *kubernetes.Meta { return &l.Meta }

// spec is that of a Lease; nil is not set.
type spec struct {
	Holder      *string `json:"holderIdentity"`
	Seconds     *int64  `json:"leaseDurationSeconds"`
	Acquired    *string `json:"acquireTime"`
	Renewed     *string `json:"renewTime"`
	Transitions *int64  `json:"leaseTransitions"`
}

type document struct{ Metadata, Spec map[string]json.RawMessage }

// UnmarshalJSON reads what is known and keeps the rest.
func (l *lease) UnmarshalJSON(text []byte) error {
	var known struct {
		Metadata kubernetes.Meta
		Spec     spec
	}
	l.read = document{}
	if err := errors.Join(json.Unmarshal(text, &known), json.Unmarshal(text, &l.read)); err != nil {
		return err
	}
	l.Meta, l.Spec = known.Metadata, known.Spec
	delete(l.read.Metadata, "managedFields") // the server keeps them; they are most of the object
	return nil
}

// MarshalJSON writes what is known over what came.
func (l *lease) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"apiVersion": leases.APIVersion(), "kind": leases.Kind,
		"metadata": over(l.read.Metadata, map[string]any{"name": l.Name, "labels": l.Labels, "annotations": l.Annotations}),
		"spec": over(l.read.Spec, map[string]any{
			"holderIdentity": l.Spec.Holder, "leaseDurationSeconds": l.Spec.Seconds, "acquireTime": l.Spec.Acquired,
			"renewTime": l.Spec.Renewed, "leaseTransitions": l.Spec.Transitions,
		}),
	})
}

// over returns what came with what is known in its place.
func over(read map[string]json.RawMessage, known map[string]any) map[string]any {
	for key, value := range read {
		if _, ok := known[key]; !ok {
			known[key] = value
		}
	}
	return known
}

// holder returns who holds the lease, as far as the object says; "" is nobody.
func (l *lease) holder() string {
	if l == nil {
		return ""
	}
	return text(l.Spec.Holder)
}

// duration returns for how long the holder may be silent. Who says nothing gets
// what client-go's examples say.
func (l *lease) duration() time.Duration {
	if l.Spec.Seconds == nil || *l.Spec.Seconds <= 0 {
		return 15 * time.Second
	}
	return time.Duration(min(*l.Spec.Seconds, 1<<30)) * time.Second
}

// said is what a holder changes when it renews.
func (l *lease) said() string {
	return strings.Join([]string{l.UID, l.holder(), l.duration().String(), text(l.Spec.Acquired), text(l.Spec.Renewed)}, " ")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// microTime is the format of the times in a lease (metav1.MicroTime).
const microTime = "2006-01-02T15:04:05.000000Z07:00"

// stamp returns the time for an update, later than that of the last one: an
// update that changed nothing would be none, and others look for a change.
func stamp(last *string) *string {
	now := time.Now().UTC().Truncate(time.Microsecond)
	before, err := time.Parse(microTime, text(last))
	if err == nil && !now.After(before) && before.Sub(now) < time.Minute {
		now = before.Add(time.Microsecond)
	}
	return new(now.Format(microTime))
}

// annotate sets an annotation of a copy of a lease, whose original keeps its own.
func (l *lease) annotate(key, value string) {
	l.Annotations = maps.Clone(l.Annotations)
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	l.Annotations[key] = value
}

// tokenKey is the annotation with the holder's nonce and token. The token is the
// version of the object that granted the claim, so it can only be written by the
// holder's first renewal; until then the object has that version.
const tokenKey = "go-platform/token"

func tokenNote(nonce string, token uint64) string { return nonce + " " + strconv.FormatUint(token, 10) }

// token returns the fencing token of the holder with that nonce.
func (l *lease) token(nonce string) uint64 {
	said, number, _ := strings.Cut(l.Annotations[tokenKey], " ")
	if said != nonce {
		number = l.ResourceVersion
	}
	n, _ := strconv.ParseUint(number, 10, 64)
	return n
}

// identity is the holderIdentity of a claim: as with client-go's usual ones, a
// name for people and something unique.
func identity(owner, nonce string) string { return owner + "_" + nonce }

var ourIdentity = regexp.MustCompile(`^(?s:(.*))_([A-Z2-7]{26})$`)

// split returns owner and nonce of an identity; another program's has no nonce.
func split(identity string) (owner, nonce string) {
	m := ourIdentity.FindStringSubmatch(identity)
	if m == nil {
		return identity, ""
	}
	return m[1], m[2]
}

// leaseName returns the name of the Lease of a key: "sync-<kind>.<namespace>.<id>" where
// these can be part of a name, else with hashes. Different keys have different
// names.
func leaseName(key string) string {
	kind, namespace, id := parts(key)
	return "sync-" + kind + "." + label(namespace) + "." + label(id)
}

// parts cuts a key of the front, "sync/<namespace>/<kind>/<id>".
func parts(key string) (kind, namespace, id string) {
	p := strings.SplitN(key, "/", 4)
	if len(p) != 4 {
		return "key", "", key
	}
	return p[2], p[1], p[3]
}

var plain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const hashed = "sha256-"

func label(s string) string {
	if plain.MatchString(s) && !strings.HasPrefix(s, hashed) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return hashed + hex.EncodeToString(sum[:])
}
