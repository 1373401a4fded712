//! States that differ in names only are one.

use super::{Message, State};
use crate::store::SessionNo;

impl State {
    pub(super) fn new_session(&self) -> SessionNo {
        let mut of_workers = self
            .workers
            .iter()
            .filter_map(|worker| worker.session)
            .collect::<Vec<_>>();
        of_workers.extend(self.store.sessions.keys());
        of_workers.extend(
            self.network
                .iter()
                .map(|message| *message.clone().session()),
        );
        of_workers.into_iter().max().map_or(0, |last| last + 1)
    }

    /// States that differ in names only are one: sessions are numbered in order, those that hold
    /// nothing and of which nothing is under way are forgotten (their workers begin new ones), and
    /// everything is sorted.
    pub(super) fn normalized(mut self) -> Self {
        let mut spoken: Vec<SessionNo> = self
            .store
            .jobs
            .iter()
            .filter_map(|row| row.holder)
            .collect();
        spoken.extend(
            self.network
                .iter()
                .map(|message| *message.clone().session()),
        );
        for worker in &mut self.workers {
            match worker.lease {
                None => worker.session = worker.session.filter(|session| spoken.contains(session)),
                Some(_) => spoken.extend(worker.session),
            }
        }
        self.store
            .sessions
            .retain(|session, _| spoken.contains(session));
        spoken.sort_unstable();
        spoken.dedup();
        let rename = |session: &mut SessionNo| {
            let place = spoken.iter().position(|one| one == session);
            *session = u8::try_from(place.unwrap()).unwrap();
        };
        self.workers
            .iter_mut()
            .filter_map(|worker| worker.session.as_mut())
            .for_each(rename);
        self.network
            .iter_mut()
            .map(Message::session)
            .for_each(rename);
        self.store
            .jobs
            .iter_mut()
            .filter_map(|row| row.holder.as_mut())
            .for_each(rename);
        let sessions = std::mem::take(&mut self.store.sessions);
        self.store.sessions = sessions
            .into_iter()
            .map(|(mut session, at)| {
                rename(&mut session);
                (session, at)
            })
            .collect();
        self.workers.sort_unstable();
        self.network.sort_unstable();
        self
    }
}
