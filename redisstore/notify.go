package redisstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
)

// The scripts publish what they change. Client-side caching could not report it: Redis
// sends one invalidation for each answer that a client has cached, and a Touch uses it up.
//
// The channel is a sharded one. In a cluster, the node that runs the scripts then sends
// the messages itself, and a lost connection to it means that messages may be missing;
// others would come over the cluster's bus, which loses messages without a sign.

var _ auth.Notifier = (*Store)(nil)

// listeners are the functions that Notify was called with, and their subscription.
type listeners struct {
	start  sync.Mutex // held while Notify waits for the first subscription
	mu     sync.Mutex // also held while the functions are called, so that stop waits
	funcs  map[*func(kind auth.Kind, userID string)]bool
	end    context.CancelFunc // of the subscription, nil if there is none
	ended  chan struct{}
	closed bool
}

var errClosed = errors.New("redisstore: the Store is closed")

// Notify implements auth.Notifier. The first call subscribes to a channel of Redis, on one
// connection for the Store, until Close. It returns an error if Redis refuses that. f is
// called with kind zero after each connection and each loss of it.
func (s *Store) Notify(f func(kind auth.Kind, userID string)) (stop func(), err error) {
	l := &s.listeners
	l.start.Lock()
	defer l.start.Unlock()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errClosed
	}
	if l.funcs == nil {
		l.funcs = make(map[*func(auth.Kind, string)]bool)
	}
	l.funcs[&f] = true
	var first chan error
	if l.end == nil {
		first = s.startListening()
	}
	l.mu.Unlock()
	stop = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.funcs, &f)
	}
	if first == nil {
		return stop, nil
	}
	if err := <-first; err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// Close ends what Notify has started: no function is called anymore. It does not close
// the client, and the other methods keep working. It can be called more than once, and
// returns nil.
func (s *Store) Close() error {
	l := &s.listeners
	l.mu.Lock()
	l.closed = true
	clear(l.funcs)
	end, ended := l.end, l.ended
	l.mu.Unlock()
	if end != nil {
		end()
		<-ended
	}
	return nil
}

// startListening is called with the lock held. The channel receives the error of Redis if
// it refuses the subscription, and nil otherwise, even if Redis is unavailable.
func (s *Store) startListening() chan error {
	ctx, end := context.WithCancel(context.Background())
	first, ended := make(chan error, 1), make(chan struct{})
	s.listeners.end, s.listeners.ended = end, ended
	go func() {
		defer close(ended)
		s.listen(ctx, first)
	}()
	return first
}

const maxPause = 2 * time.Second

// listen subscribes again whenever the subscription ends.
func (s *Store) listen(ctx context.Context, first chan error) {
	isFirst, pause := true, 10*time.Millisecond
	answer := func(err error) {
		if isFirst {
			isFirst = false
			first <- err
		}
	}
	defer answer(errClosed)
	for {
		err := s.subscribe(ctx, func() {
			pause = 10 * time.Millisecond
			s.missed()
			answer(nil)
		})
		if ctx.Err() != nil {
			return
		}
		if _, refused := rueidis.IsRedisErr(err); refused && isFirst {
			s.giveUp()
			answer(err)
			return
		}
		answer(nil)
		s.missed()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)):
			pause = min(2*pause, maxPause)
		}
	}
}

// giveUp makes the next Notify try again.
func (s *Store) giveUp() {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	s.listeners.end()
	s.listeners.end = nil
}

var errUnsubscribed = errors.New("redisstore: Redis has ended the subscription")

// subscribe calls established, and returns when the subscription has ended.
func (s *Store) subscribe(ctx context.Context, established func()) error {
	conn, release := s.client.Dedicate()
	defer release()
	moved := make(chan struct{}, 1)
	broken := conn.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) { s.received(m.Message) },
		OnSubscription: func(e rueidis.PubSubSubscription) {
			if e.Kind == "sunsubscribe" { // a cluster has moved the slot
				select {
				case moved <- struct{}{}:
				default:
				}
			}
		},
	})
	subscribing, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	command := conn.B().Ssubscribe().Channel(s.prefix + "changes").Build().Pin()
	if err := conn.Do(subscribing, command).Error(); err != nil {
		return err
	}
	established()
	select {
	case err := <-broken:
		return err
	case <-moved:
		return errUnsubscribed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// received handles a message: a kind, a user ID as a text, and digests.
func (s *Store) received(message string) {
	var user [1]string
	if len(message) < 6 || !isKind(auth.Kind(message[0]-'0')) {
		s.missed()
		return
	}
	length, ok := parseDigits(message[1:6])
	end := 6 + int(length)
	if !ok || end > len(message) || !splitTexts(message[1:end], user[:]) {
		s.missed()
		return
	}
	for digests := message[end:]; len(digests) >= len(auth.Digest{}); digests = digests[len(auth.Digest{}):] {
		// The invalidation of a cached answer comes on another connection, perhaps later.
		s.guards.set(auth.Digest([]byte(digests[:len(auth.Digest{})])), changed, time.Time{})
	}
	s.call(auth.Kind(message[0]-'0'), user[0])
}

// missed reports that changes of any user may have been missed.
func (s *Store) missed() {
	s.guards.setAll()
	s.call(0, "")
}

func (s *Store) call(kind auth.Kind, userID string) {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	for f := range s.listeners.funcs {
		(*f)(kind, userID)
	}
}
