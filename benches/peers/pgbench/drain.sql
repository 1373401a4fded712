delete from job where id in
    (select id from job order by id limit :batch for update skip locked)
returning *;
