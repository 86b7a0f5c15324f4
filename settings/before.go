package settings

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/networks"
)

// This file has the decisions of the service about tokens: Config.BeforeIssue and BeforeUpdate.

var (
	errRefused = &problem{Status: http.StatusForbidden, Code: codeForbidden, text: "refused", Detail: "The service does not allow this."}
	errFixed   = &problem{Status: http.StatusForbidden, Code: codeForbidden, text: "refused", Detail: "Only the name and the metadata of a token can be changed here."}
)

// beforeIssue calls Config.BeforeIssue, which can add to the Metadata. The Idempotency stays that of
// the form.
func (r *request) beforeIssue(o *auth.TokenOptions) error {
	if r.fillToken == nil {
		return nil
	}
	given := o.Idempotency
	if o.Metadata == nil {
		o.Metadata = make(map[string]string)
	}
	err := r.ask("Config.BeforeIssue", func() error { return r.fillToken(r.Context(), r.identity(), o) })
	o.Idempotency = given
	return err
}

// beforeUpdate calls Config.BeforeUpdate. Without one, what BeforeIssue has set cannot be undone.
func (r *request) beforeUpdate(old auth.Credential, u *auth.TokenUpdate) error {
	switch {
	case r.fillUpdate != nil:
		return r.ask("Config.BeforeUpdate", func() error { return r.fillUpdate(r.Context(), r.identity(), old, u) })
	case r.fillToken != nil && (u.Scopes != nil || u.Networks != nil):
		r.notify(auth.ReasonForbidden, nil)
		return errFixed
	}
	return nil
}

// ask calls a function of the service that may refuse a request. Other errors than those that its
// documentation names, and a panic, are an outage.
func (r *request) ask(name string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = recovered(name, v)
			r.notifyOutage(err)
			err = unavailable()
		}
	}()
	err = f()
	faults := serviceFaults(err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, auth.ErrUnavailable):
	case errors.Is(err, auth.ErrForbidden):
		r.notify(auth.ReasonForbidden, err)
		return errRefused
	case faults != nil:
		p := invalidArgument(faults...)
		p.said = true
		return p
	case errors.Is(err, auth.ErrLimit):
		p := problemOf(auth.ErrLimit)
		p.text = "new.limit" // only the service knows its number
		return p
	}
	r.notifyOutage(err)
	return unavailable() // whatever it wraps
}

// serviceFaults returns the argument errors of the service as they are.
func serviceFaults(err error) (faults []fieldError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			faults = append(faults, serviceFaults(err)...)
		}
		return faults
	}
	var e *auth.ArgumentError
	if errors.As(err, &e) {
		faults = append(faults, fieldError{cmp.Or(argumentFields[e.Argument].Field, e.Argument), cmp.Or(e.Fault, faultOf(nil))})
	}
	return faults
}

// changed removes what an update does not change, so that it needs no permission.
func changed(old auth.Credential, u auth.TokenUpdate) auth.TokenUpdate {
	if u.Name != nil && *u.Name == old.Name {
		u.Name = nil
	}
	if u.Scopes != nil {
		if s, err := auth.ParseScopes(*u.Scopes); err == nil && sameScopes(s, old.Scopes) {
			u.Scopes = nil
		}
	}
	if u.Networks != nil && sameNetworks(*u.Networks, old.Networks) {
		u.Networks = nil
	}
	kept := make(map[string]string)
	for key, value := range old.Metadata.All() {
		kept[key] = value
	}
	changes := make(map[string]*string)
	for key, value := range u.Metadata {
		was, has := kept[key]
		if has != (value != nil) || has && *value != was {
			changes[key] = value
		}
	}
	u.Metadata = changes
	return u
}

func changesNothing(u auth.TokenUpdate) bool {
	return u.Name == nil && u.Scopes == nil && u.Networks == nil && len(u.Metadata) == 0
}

// sameScopes compares scopes in any order.
func sameScopes(a, b auth.Scopes) bool {
	x, y := a.List(), b.List()
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

func sameNetworks(prefixes []netip.Prefix, old auth.Networks) bool {
	if prefixes == nil {
		return old == ""
	}
	list, fault := networks.Format(prefixes)
	return fault == "" && list == string(old)
}
