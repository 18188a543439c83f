//! Who is in which room, and what they bring.

/// One participant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its place among all participants, which is the order in which they come.
    pub index: usize,
    pub room: usize,
    /// How many are in its room, itself included.
    pub room_size: usize,
    /// Whether it is the first of its room.
    pub first: bool,
    pub camera: bool,
}

/// Spreads participants evenly over rooms, the larger rooms first; the first `cameras` of each send video.
pub fn members(rooms: usize, participants: usize, cameras: usize) -> Vec<Member> {
    let seats = (0..rooms).flat_map(|room| {
        let room_size = participants / rooms + usize::from(room < participants % rooms);
        (0..room_size).map(move |seat| (room, room_size, seat))
    });
    let member = |(index, (room, room_size, seat))| {
        let (first, camera) = (seat == 0, seat < cameras);
        Member { index, room, room_size, first, camera }
    };
    seats.enumerate().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(members: &[Member]) -> impl Iterator<Item = &[Member]> {
        members.chunk_by(|a, b| a.room == b.room)
    }

    #[test]
    fn rooms_differ_by_one_at_most_and_nobody_is_left_out() {
        for (rooms_wanted, participants) in [(150, 500), (3, 8), (1, 1), (4, 4), (7, 50)] {
            let members = members(rooms_wanted, participants, 2);
            assert_eq!(members.len(), participants);
            let sizes: Vec<usize> = rooms(&members).map(<[Member]>::len).collect();
            assert_eq!(sizes.len(), rooms_wanted);
            assert!(sizes[0] - sizes[sizes.len() - 1] <= 1, "{sizes:?}");
            assert!(members.iter().all(|member| member.room_size == sizes[member.room]));
            assert!(members.iter().enumerate().all(|(at, member)| member.index == at));
        }
    }

    #[test]
    fn each_room_has_its_cameras() {
        let members = members(3, 8, 2);
        let cameras = |room: &[Member]| room.iter().filter(|member| member.camera).count();
        assert_eq!(rooms(&members).map(cameras).collect::<Vec<_>>(), [2, 2, 2]);
        assert_eq!(members.iter().filter(|member| member.first).count(), 3);
        assert!(super::members(3, 8, 0).iter().all(|member| !member.camera));
    }
}
